// The limit: socket, connect and epoll by hand. Closing a socket takes it from the poller.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "run.hpp"

namespace {

struct Socket {
  int fd = -1;
  bool connected = false;
};

/// Thread-safety: the loop's thread.
class BareDials {
 public:
  explicit BareDials(dials::Run& run) : run_(run), sockets_(run.options.at_once) {
    for (std::size_t i = 0; i != targets_.size(); ++i) {
      targets_[i].sin_family = AF_INET;
      targets_[i].sin_port = htons(run.port());
      targets_[i].sin_addr.s_addr = htonl(dials::Run::address(i));
    }
  }

  void run() {
    for (Socket& socket : sockets_) dial(socket);
    std::array<epoll_event, 256> events;
    while (!over_) {
      const int count = epoll_wait(poller_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) {
        Socket& ready = *static_cast<Socket*>(events[static_cast<std::size_t>(i)].data.ptr);
        ready.connected ? read_echo(ready) : on_connected(ready);
      }
    }
  }

 private:
  void watch(int operation, Socket& socket, std::uint32_t interest) {
    epoll_event event{};
    event.events = interest;
    event.data.ptr = &socket;
    if (epoll_ctl(poller_, operation, socket.fd, &event) != 0) dials::fail("epoll_ctl");
  }

  void dial(Socket& socket) {
    socket.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socket.connected = false;
    const int on = 1;
    setsockopt(socket.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const sockaddr_in& to = targets_[run_.next()];
    if (connect(socket.fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS)
      dials::fail("connect");
    watch(EPOLL_CTL_ADD, socket, EPOLLOUT);
  }

  void on_connected(Socket& socket) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(socket.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if ((errno = error) != 0) dials::fail("connect");
    socket.connected = true;
    if (!run_.options.echo) return end(socket);
    if (send(socket.fd, dials::kMessage.data(), dials::kMessage.size(), MSG_NOSIGNAL) < 0) dials::fail("send");
    watch(EPOLL_CTL_MOD, socket, EPOLLIN);
  }

  void read_echo(Socket& socket) {
    const ssize_t size = read(socket.fd, buffer_.data(), buffer_.size());
    if (size < 0 || std::string_view(buffer_.data(), static_cast<std::size_t>(size)) != dials::kMessage)
      dials::fail("read");
    end(socket);
  }

  void end(Socket& socket) {
    const linger now{1, 0};
    if (run_.options.reset) setsockopt(socket.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(socket.fd);
    if (run_.end()) over_ = true;
    if (run_.more()) dial(socket);
  }

  dials::Run& run_;
  std::array<sockaddr_in, dials::Run::kAddresses> targets_{};
  std::vector<Socket> sockets_;
  std::vector<char> buffer_ = std::vector<char>(64 * 1024);
  const int poller_ = epoll_create1(EPOLL_CLOEXEC);
  bool over_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  dials::Run run(dials::parse(argc, argv));
  BareDials(run).run();
  run.print();
}
