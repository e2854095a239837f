// libuv as its users write it: the handles are theirs. Dialed again once it is closed: not before may it be used again.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <uv.h>

#include <array>
#include <vector>

#include "run.hpp"

namespace {

class UvDials;

struct Socket {
  UvDials* owner = nullptr;
  uv_tcp_t handle{};
  uv_connect_t request{};
};

/// Thread-safety: the loop's thread.
class UvDials {
 public:
  explicit UvDials(dials::Run& run) : run_(run), sockets_(run.options.at_once) {
    uv_loop_init(&loop_);
    for (std::size_t i = 0; i != targets_.size(); ++i) {
      targets_[i].sin_family = AF_INET;
      targets_[i].sin_port = htons(run.port());
      targets_[i].sin_addr.s_addr = htonl(dials::Run::address(i));
    }
  }

  void run() {
    for (Socket& socket : sockets_) dial(socket);
    uv_run(&loop_, UV_RUN_DEFAULT);
  }

 private:
  static Socket& socket_of(void* handle) { return *static_cast<Socket*>(static_cast<uv_handle_t*>(handle)->data); }

  void dial(Socket& socket) {
    socket.owner = this;
    uv_tcp_init(&loop_, &socket.handle);
    socket.handle.data = &socket;
    uv_tcp_nodelay(&socket.handle, 1);
    const auto* const to = reinterpret_cast<const sockaddr*>(&targets_[run_.next()]);
    if (uv_tcp_connect(&socket.request, &socket.handle, to, on_connected) != 0) dials::fail("connect");
  }

  static void on_connected(uv_connect_t* request, int status) {
    if (status < 0) dials::fail(uv_strerror(status));
    Socket& socket = socket_of(request->handle);
    UvDials& self = *socket.owner;
    if (!self.run_.options.echo) return self.end(socket);
    auto* const stream = reinterpret_cast<uv_stream_t*>(&socket.handle);
    const uv_buf_t out = uv_buf_init(const_cast<char*>(dials::kMessage.data()), dials::kMessage.size());
    if (uv_try_write(stream, &out, 1) != static_cast<int>(dials::kMessage.size())) dials::fail("write");
    uv_read_start(
        stream,
        [](uv_handle_t* handle, std::size_t, uv_buf_t* room) {
          std::vector<char>& buffer = socket_of(handle).owner->buffer_;
          *room = uv_buf_init(buffer.data(), static_cast<unsigned>(buffer.size()));
        },
        on_read);
  }

  static void on_read(uv_stream_t* stream, ssize_t size, const uv_buf_t* in) {
    if (size == 0) return;
    if (size < 0 || std::string_view(in->base, static_cast<std::size_t>(size)) != dials::kMessage) dials::fail("read");
    Socket& socket = socket_of(stream);
    socket.owner->end(socket);
  }

  void end(Socket& socket) {
    if (run_.options.reset) {
      uv_tcp_close_reset(&socket.handle, on_closed);
    } else {
      uv_close(reinterpret_cast<uv_handle_t*>(&socket.handle), on_closed);
    }
  }

  static void on_closed(uv_handle_t* handle) {
    Socket& socket = socket_of(handle);
    UvDials& self = *socket.owner;
    self.run_.end();
    if (self.run_.more()) self.dial(socket);
  }

  dials::Run& run_;
  uv_loop_t loop_{};
  std::array<sockaddr_in, dials::Run::kAddresses> targets_{};
  std::vector<Socket> sockets_;
  std::vector<char> buffer_ = std::vector<char>(64 * 1024);
};

}  // namespace

int main(int argc, char** argv) {
  dials::Run run(dials::parse(argc, argv));
  UvDials(run).run();
  run.print();
}
