// asio as its users write it: async_connect and async_read_some, of a loop without locks and with a concrete executor.
#include <array>
#include <asio.hpp>
#include <deque>
#include <vector>

#include "run.hpp"

namespace {

using Executor = asio::io_context::executor_type;
using Tcp = asio::ip::tcp;

struct Socket {
  explicit Socket(asio::io_context& context) : socket(context.get_executor()) {}
  asio::basic_stream_socket<Tcp, Executor> socket;
  std::array<char, 256> buffer{};
};

/// Thread-safety: the loop's thread.
class AsioDials {
 public:
  explicit AsioDials(dials::Run& run) : run_(run) {
    for (std::size_t i = 0; i != run.options.at_once; ++i) sockets_.emplace_back(context_);
    for (std::size_t i = 0; i != dials::Run::kAddresses; ++i)
      targets_.emplace_back(asio::ip::address_v4(dials::Run::address(i)), run.port());
  }

  void run() {
    for (Socket& socket : sockets_) dial(socket);
    context_.run();
  }

 private:
  void dial(Socket& to) {
    to.socket.open(Tcp::v4());
    to.socket.set_option(Tcp::no_delay(true));
    to.socket.async_connect(targets_[run_.next()], [this, &to](std::error_code error) {
      if (error) dials::fail("connect");
      run_.options.echo ? ask(to) : end(to);
    });
  }

  void ask(Socket& to) {
    to.socket.non_blocking(true);
    if (to.socket.write_some(asio::buffer(dials::kMessage)) != dials::kMessage.size()) dials::fail("write");
    to.socket.async_read_some(asio::buffer(to.buffer), [this, &to](std::error_code error, std::size_t size) {
      if (error || std::string_view(to.buffer.data(), size) != dials::kMessage) dials::fail("read");
      end(to);
    });
  }

  void end(Socket& to) {
    if (run_.options.reset) to.socket.set_option(asio::socket_base::linger(true, 0));
    to.socket.close();
    run_.end();
    if (run_.more()) dial(to);
  }

  dials::Run& run_;
  asio::io_context context_{ASIO_CONCURRENCY_HINT_UNSAFE_IO};
  std::deque<Socket> sockets_;
  std::vector<Tcp::endpoint> targets_;
};

}  // namespace

int main(int argc, char** argv) {
  dials::Run run(dials::parse(argc, argv));
  AsioDials(run).run();
  run.print();
}
