// asio's ssl::stream, on a loop's own io_context without locks. Its write_some() may lose what the socket does not
// take, so that a session writes by async_write alone.
#include <array>
#include <asio.hpp>
#include <asio/ssl.hpp>
#include <memory>
#include <utility>

#include "common.h"
#include "tls.h"

namespace {

using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;

// It reads a record at a time.
constexpr std::size_t kRecord = 16 * 1024;

SSL_CTX* native_context = nullptr;

// Thread-safety: belongs to its loop.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Socket socket, asio::ssl::context& context) : stream_(std::move(socket), context) {}

  void begin() {
    stream_.async_handshake(asio::ssl::stream_base::server, [self = shared_from_this()](std::error_code error) {
      if (!error) self->read();
    });
  }

 private:
  void read() {
    stream_.async_read_some(asio::buffer(buffer_),
                            [self = shared_from_this()](std::error_code error, std::size_t size) {
                              error ? self->end() : self->write(size);
                            });
  }

  void write(std::size_t size) {
    asio::async_write(stream_, asio::buffer(buffer_.data(), size),
                      [self = shared_from_this()](std::error_code error, std::size_t) {
                        if (!error) self->read();
                      });
  }

  void end() {
    stream_.async_shutdown([self = shared_from_this()](std::error_code) {});
  }

  asio::ssl::stream<Socket> stream_;
  std::array<char, kRecord> buffer_;
};

void accept(Acceptor& acceptor, asio::ssl::context& context) {
  acceptor.async_accept([&acceptor, &context](std::error_code error, Socket socket) {
    if (!error) {
      socket.set_option(asio::ip::tcp::no_delay(true));
      std::make_shared<Session>(std::move(socket), context)->begin();
    }
    accept(acceptor, context);
  });
}

void serve(int fd) {
  asio::io_context loop(ASIO_CONCURRENCY_HINT_UNSAFE_IO);
  SSL_CTX_up_ref(native_context);  // each loop's owns it
  asio::ssl::context context(native_context);
  Acceptor acceptor(loop.get_executor(), asio::ip::tcp::v4(), fd);
  accept(acceptor, context);
  loop.run();
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  native_context = server_context(options);
  run_loops(options, serve);
}
