// The other end of all dials: it accepts, echoes and closes, with epoll by hand.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "run.hpp"

namespace dials {
namespace {

void watch(int poller, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

void echo(int fd) {
  std::array<char, 4096> buffer;
  const ssize_t size = read(fd, buffer.data(), buffer.size());
  if (size < 0 && errno == EAGAIN) return;
  if (size > 0 && send(fd, buffer.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL) == size) return;
  close(fd);
}

}  // namespace

void serve_peer(int listener) {
  const int poller = epoll_create1(EPOLL_CLOEXEC);
  watch(poller, listener);
  std::array<epoll_event, 256> events;
  for (;;) {
    const int count = epoll_wait(poller, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd != listener) {
        echo(fd);
        continue;
      }
      for (int made; (made = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;)
        watch(poller, made);
    }
  }
}

}  // namespace dials
