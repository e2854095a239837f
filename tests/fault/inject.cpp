#include "tests/fault/inject.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <mutex>
#include <shared_mutex>
#include <utility>

namespace evio::test {
namespace {

constexpr std::array<const char*, kCalls> kCallNames{
    "read",      "write",      "send",   "sendmsg",  "sendmmsg",    "recvmmsg",   "accept4",    "connect",
    "socket",    "bind",       "listen", "shutdown", "getsockname", "getsockopt", "setsockopt", "epoll_create1",
    "epoll_ctl", "epoll_wait", "poll",   "eventfd",  "pipe2",       "fcntl",      "ioctl",      "lstat",
    "unlink",    "open",       "flock",  "fstat",    "nanosleep",   "fchmodat"};

// Held shared by a thread inside a rule, so that none is left when the injection goes.
std::shared_mutex gate;
std::atomic<Injection*> current{nullptr};
thread_local bool spared = false;

}  // namespace

const char* name_of(Call call) { return kCallNames[static_cast<std::size_t>(call)]; }

std::vector<Call> all_calls() {
  std::vector<Call> calls;
  for (std::size_t i = 0; i != kCalls; ++i) calls.push_back(static_cast<Call>(i));
  return calls;
}

bool is_socket(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode);
}

Injection::Injection(Before before, After after) : before_(std::move(before)), after_(std::move(after)) {
  spared = true;
  current.store(this, std::memory_order_release);  // release: the rules are complete
}

Injection::~Injection() {
  current.store(nullptr, std::memory_order_relaxed);  // relaxed: the lock does the rest
  const std::unique_lock lock(gate);
  spared = false;
}

int Injection::before(Invocation& invocation) {
  counts_[static_cast<std::size_t>(invocation.call)].fetch_add(1, std::memory_order_relaxed);
  return before_ ? before_(invocation) : 0;
}

void Injection::after(const Invocation& invocation, long result) {
  if (after_) after_(invocation, result);
}

Spared::Spared() : before_(std::exchange(spared, true)) {}
Spared::~Spared() { spared = before_; }

/// Calls rule with the injection there is, if this thread's calls are subject to one. What the rule itself calls is
/// not.
template <class Rule>
static void with_injection(Rule rule) {
  if (spared || current.load(std::memory_order_relaxed) == nullptr) return;
  const int saved = errno;
  const Spared own;
  const std::shared_lock lock(gate);
  // acquire: pairs with the constructor.
  if (Injection* const injection = current.load(std::memory_order_acquire)) rule(*injection);
  errno = saved;
}

template <class Real>
static auto injected(Invocation invocation, Real real) -> decltype(real()) {
  int failure = 0;
  with_injection([&](Injection& injection) { failure = injection.before(invocation); });
  if (failure != 0) {
    errno = failure;
    return -1;
  }
  const auto result = real();
  with_injection([&](Injection& injection) { injection.after(invocation, static_cast<long>(result)); });
  return result;
}

}  // namespace evio::test

// The rest is what the linker puts in the place of the system calls.
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

using evio::test::Call;
using evio::test::injected;

// A function that only passes its arguments on.
#define EVIO_WRAP(kind, result, name, parameters, arguments, about)                              \
  result __real_##name parameters;                                                               \
  result __wrap_##name parameters {                                                              \
    return injected({.call = Call::kind, .fd = about}, [&] { return __real_##name arguments; }); \
  }

extern "C" {

ssize_t __real_read(int fd, void* to, std::size_t size);
ssize_t __wrap_read(int fd, void* to, std::size_t size) {
  return injected({.call = Call::kRead, .fd = fd, .size = &size}, [&] { return __real_read(fd, to, size); });
}

ssize_t __real_write(int fd, const void* from, std::size_t size);
ssize_t __wrap_write(int fd, const void* from, std::size_t size) {
  return injected({.call = Call::kWrite, .fd = fd, .size = &size}, [&] { return __real_write(fd, from, size); });
}

ssize_t __real_send(int fd, const void* from, std::size_t size, int flags);
ssize_t __wrap_send(int fd, const void* from, std::size_t size, int flags) {
  return injected({.call = Call::kSend, .fd = fd, .size = &size}, [&] { return __real_send(fd, from, size, flags); });
}

ssize_t __real_sendmsg(int fd, const msghdr* message, int flags);
ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {
  std::size_t whole = 0;
  for (std::size_t i = 0; i != message->msg_iovlen; ++i) whole += message->msg_iov[i].iov_len;
  std::size_t size = whole;
  return injected({.call = Call::kSendmsg, .fd = fd, .size = &size}, [&] {
    if (size == whole) return __real_sendmsg(fd, message, flags);
    iovec first = message->msg_iov[0];
    first.iov_len = std::min(first.iov_len, size);
    msghdr less = *message;
    less.msg_iov = &first;
    less.msg_iovlen = 1;
    return __real_sendmsg(fd, &less, flags);
  });
}

int __real_epoll_ctl(int epoll, int op, int fd, epoll_event* event);
int __wrap_epoll_ctl(int epoll, int op, int fd, epoll_event* event) {
  return injected({.call = Call::kEpollCtl, .fd = fd, .operation = op, .events = event == nullptr ? 0 : event->events},
                  [&] { return __real_epoll_ctl(epoll, op, fd, event); });
}

int __real_epoll_wait(int epoll, epoll_event* events, int count, int timeout_ms);
int __wrap_epoll_wait(int epoll, epoll_event* events, int count, int timeout_ms) {
  return injected({.call = Call::kEpollWait, .fd = epoll, .timeout_ms = timeout_ms},
                  [&] { return __real_epoll_wait(epoll, events, count, timeout_ms); });
}

int __real_epoll_pwait2(int epoll, epoll_event* events, int count, const timespec* timeout, const sigset_t* mask);
int __wrap_epoll_pwait2(int epoll, epoll_event* events, int count, const timespec* timeout, const sigset_t* mask) {
  const auto time = std::chrono::seconds(timeout->tv_sec) + std::chrono::nanoseconds(timeout->tv_nsec);
  const auto ms = static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(time).count());
  return injected({.call = Call::kEpollWait, .fd = epoll, .timeout_ms = ms},
                  [&] { return __real_epoll_pwait2(epoll, events, count, timeout, mask); });
}

int __real_poll(pollfd* fds, nfds_t count, int timeout_ms);
int __wrap_poll(pollfd* fds, nfds_t count, int timeout_ms) {
  return injected({.call = Call::kPoll, .timeout_ms = timeout_ms}, [&] { return __real_poll(fds, count, timeout_ms); });
}

int __real_getsockopt(int fd, int level, int option, void* value, socklen_t* size);
int __wrap_getsockopt(int fd, int level, int option, void* value, socklen_t* size) {
  return injected({.call = Call::kGetsockopt, .fd = fd, .operation = option},
                  [&] { return __real_getsockopt(fd, level, option, value, size); });
}

int __real_setsockopt(int fd, int level, int option, const void* value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int option, const void* value, socklen_t size) {
  return injected({.call = Call::kSetsockopt, .fd = fd, .operation = option},
                  [&] { return __real_setsockopt(fd, level, option, value, size); });
}

// Variadic in truth; the one argument there can be travels as a long does.
int __real_fcntl(int fd, int command, long value);
int __wrap_fcntl(int fd, int command, long value) {
  return injected({.call = Call::kFcntl, .fd = fd, .operation = command},
                  [&] { return __real_fcntl(fd, command, value); });
}

int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation) {
  return injected({.call = Call::kFlock, .fd = fd, .operation = operation},
                  [&] { return __real_flock(fd, operation); });
}

// Variadic in truth, as fcntl is.
int __real_open(const char* path, int flags, mode_t mode);
int __wrap_open(const char* path, int flags, mode_t mode) {
  return injected({.call = Call::kOpen, .path = path}, [&] { return __real_open(path, flags, mode); });
}

int __real_lstat(const char* path, struct stat* info);
int __wrap_lstat(const char* path, struct stat* info) {
  return injected({.call = Call::kLstat, .path = path}, [&] { return __real_lstat(path, info); });
}

int __real_unlink(const char* path);
int __wrap_unlink(const char* path) {
  return injected({.call = Call::kUnlink, .path = path}, [&] { return __real_unlink(path); });
}

int __real_fchmodat(int folder, const char* path, mode_t mode, int flags);
int __wrap_fchmodat(int folder, const char* path, mode_t mode, int flags) {
  return injected({.call = Call::kFchmodat, .path = path}, [&] { return __real_fchmodat(folder, path, mode, flags); });
}

// clang-format off
EVIO_WRAP(kSendmmsg, int, sendmmsg, (int fd, mmsghdr* messages, unsigned n, int flags), (fd, messages, n, flags), fd)  // __wrap_sendmmsg
EVIO_WRAP(kRecvmmsg, int, recvmmsg, (int fd, mmsghdr* messages, unsigned n, int flags, timespec* timeout), (fd, messages, n, flags, timeout), fd)  // __wrap_recvmmsg
EVIO_WRAP(kAccept4, int, accept4, (int fd, sockaddr* peer, socklen_t* size, int flags), (fd, peer, size, flags), fd)   // __wrap_accept4
EVIO_WRAP(kConnect, int, connect, (int fd, const sockaddr* to, socklen_t size), (fd, to, size), fd)                    // __wrap_connect
EVIO_WRAP(kSocket, int, socket, (int family, int type, int protocol), (family, type, protocol), -1)                    // __wrap_socket
EVIO_WRAP(kBind, int, bind, (int fd, const sockaddr* to, socklen_t size), (fd, to, size), fd)                          // __wrap_bind
EVIO_WRAP(kListen, int, listen, (int fd, int backlog), (fd, backlog), fd)                                              // __wrap_listen
EVIO_WRAP(kShutdown, int, shutdown, (int fd, int how), (fd, how), fd)                                                  // __wrap_shutdown
EVIO_WRAP(kGetsockname, int, getsockname, (int fd, sockaddr* name, socklen_t* size), (fd, name, size), fd)             // __wrap_getsockname
EVIO_WRAP(kEpollCreate1, int, epoll_create1, (int flags), (flags), -1)                                                 // __wrap_epoll_create1
EVIO_WRAP(kEventfd, int, eventfd, (unsigned value, int flags), (value, flags), -1)                                     // __wrap_eventfd
EVIO_WRAP(kPipe2, int, pipe2, (int fds[2], int flags), (fds, flags), -1)                                               // __wrap_pipe2
EVIO_WRAP(kIoctl, int, ioctl, (int fd, unsigned long request, void* value), (fd, request, value), fd)                  // __wrap_ioctl
EVIO_WRAP(kFstat, int, fstat, (int fd, struct stat* info), (fd, info), fd)                                             // __wrap_fstat
EVIO_WRAP(kNanosleep, int, nanosleep, (const timespec* time, timespec* left), (time, left), -1)                        // __wrap_nanosleep
// clang-format on
}
