// asio as its users write a server for speed: a loop's own io_context without locks, a concrete executor, a session
// object that keeps itself alive, a synchronous write first and async_write for what is left.
#include <array>
#include <asio.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "common.h"

namespace {

using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;
using Datagrams = asio::basic_datagram_socket<asio::ip::udp, Executor>;

bool is_udp = false;

// Thread-safety: belongs to its loop.
class Session : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(Socket socket) : socket_(std::move(socket)) {}

  void read() {
    socket_.async_read_some(asio::buffer(buffer_),
                            [self = shared_from_this()](std::error_code error, std::size_t size) {
                              if (!error) self->echo(size);
                            });
  }

 private:
  void echo(std::size_t size) {
    std::error_code error;
    const Reply reply = reply_to(buffer_.data(), size);
    const std::size_t sent = socket_.write_some(asio::buffer(reply.bytes, reply.size), error);
    if (error && error != asio::error::would_block) return;
    if (sent == reply.size) return read();
#ifdef ANSWER_SIZE
    std::vector<char> rest(reply.bytes + sent, reply.bytes + reply.size);
    const auto out = asio::buffer(rest);
    asio::async_write(socket_, out,
                      [self = shared_from_this(), rest = std::move(rest)](std::error_code failed, std::size_t) {
                        if (!failed) self->read();
                      });
#else
    asio::async_write(socket_, asio::buffer(reply.bytes + sent, reply.size - sent),
                      [self = shared_from_this()](std::error_code failed, std::size_t) {
                        if (!failed) self->read();
                      });
#endif
  }

  Socket socket_;
  // Each session needs its own: asio tries the next read at once and may run other sessions before it calls back.
  std::array<char, kConnectionBufferSize> buffer_;
};

void accept(Acceptor& acceptor) {
  acceptor.async_accept([&acceptor](std::error_code error, Socket socket) {
    if (!error) {
      socket.set_option(asio::ip::tcp::no_delay(true));
      socket.non_blocking(true, error);
      std::make_shared<Session>(std::move(socket))->read();
    }
    accept(acceptor);
  });
}

void receive(Datagrams& socket) {
  static thread_local std::array<char, kDatagramSize> buffer;
  static thread_local asio::ip::udp::endpoint peer;
  socket.async_receive_from(asio::buffer(buffer), peer, [&socket](std::error_code error, std::size_t size) {
    if (!error) socket.send_to(asio::buffer(buffer.data(), size), peer, 0, error);
    receive(socket);
  });
}

void serve(int fd) {
  asio::io_context context(ASIO_CONCURRENCY_HINT_UNSAFE_IO);
  if (is_udp) {
    Datagrams socket(context.get_executor(), asio::ip::udp::v4(), fd);
    receive(socket);
    context.run();
  } else {
    Acceptor acceptor(context.get_executor(), asio::ip::tcp::v4(), fd);
    accept(acceptor);
    context.run();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  is_udp = options.udp != 0;
  run_loops(options, serve);
}
