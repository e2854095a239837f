// Counts the system calls by which the libraries wake their loops: a write to an eventfd, or, as asio does it, an
// epoll_ctl that has epoll report the eventfd once more. The functions they call are these. Nothing in here may
// allocate or throw.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>

#include "target.hpp"

namespace {

// relaxed everywhere: the counts are read when the threads that made them have been waited for.
std::array<std::atomic<bool>, 1024> is_eventfd;
std::atomic<std::uint64_t> calls{0};

void count(int fd) {
  if (fd < 0 || fd >= static_cast<int>(is_eventfd.size())) return;
  if (is_eventfd[static_cast<std::size_t>(fd)].load(std::memory_order_relaxed)) {
    calls.fetch_add(1, std::memory_order_relaxed);
  }
}

}  // namespace

extern "C" {

int eventfd(unsigned count, int flags) noexcept {
  const auto fd = static_cast<int>(syscall(SYS_eventfd2, count, flags));
  if (fd >= 0 && fd < static_cast<int>(is_eventfd.size())) {
    is_eventfd[static_cast<std::size_t>(fd)].store(true, std::memory_order_relaxed);
  }
  return fd;
}

ssize_t write(int fd, const void* bytes, std::size_t size) {
  count(fd);
  return syscall(SYS_write, fd, bytes, size);
}

int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  if (operation == EPOLL_CTL_MOD) count(fd);
  return static_cast<int>(syscall(SYS_epoll_ctl, epoll, operation, fd, event));
}
}

std::uint64_t notes::wake_up_calls() { return calls.load(std::memory_order_relaxed); }
