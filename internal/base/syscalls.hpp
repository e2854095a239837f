#pragma once

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

/// The system calls on descriptors, files and sockets, each once. They answer as the C library does (-1 and errno),
/// with EINTR retried wherever the call can be repeated, and are called by their plain names, so that tests inject
/// faults with the linker's --wrap. The descriptors they make are above 2, except open()'s. Thread-safety: as the
/// system calls'.
namespace evio::internal::sys {

inline std::error_code last_error() { return {errno, std::system_category()}; }
inline bool would_block(int err) { return err == EAGAIN || err == EWOULDBLOCK; }

template <class Call>
auto retried(Call call) {
  for (;;) {
    const auto result = call();
    if (result != -1 || errno != EINTR) [[likely]]
      return result;
  }
}

// Not retried: on Linux the descriptor is gone whatever close(2) says, and the number may be another thread's by then.
inline int close(int fd) { return ::close(fd); }
inline int fcntl(int fd, int command, int value) { return ::fcntl(fd, command, value); }

[[gnu::cold, gnu::noinline]] inline int move_above_standard(int fd) {
  const int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int failure = errno == EINVAL ? EMFILE : errno;  // EINVAL: the limit of descriptors is 3 or less
  close(fd);
  errno = failure;
  return moved;
}
// A process may be started without a standard stream (`2>&-`). A descriptor that got its number would get what the
// program writes there: those of the library are moved out of the way.
inline int above_standard(int fd) {
  if (static_cast<unsigned>(fd) > STDERR_FILENO) [[likely]]  // -1 too
    return fd;
  return move_above_standard(fd);
}

inline ssize_t read(int fd, void* to, std::size_t size) {
  return retried([&] { return ::read(fd, to, size); });
}
inline ssize_t write(int fd, const void* from, std::size_t size) {
  return retried([&] { return ::write(fd, from, size); });
}
// recv(2) with MSG_PEEK: what it reads stays at the socket.
inline ssize_t peek(int fd, void* to, std::size_t size) {
  return retried([&] { return ::recv(fd, to, size, MSG_PEEK); });
}
// Not retried, for the fast path of a loop, which takes another way after EINTR: nothing has to outlive the call here.
inline ssize_t read_once(int fd, void* to, std::size_t size) { return ::read(fd, to, size); }
inline ssize_t send_once(int fd, const void* from, std::size_t size, int flags) {
  return ::send(fd, from, size, flags);
}
inline ssize_t send(int fd, const void* from, std::size_t size, int flags) {
  return retried([&] { return ::send(fd, from, size, flags); });
}
inline ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  return retried([&] { return ::sendmsg(fd, message, flags); });
}
inline int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  return retried([&] { return ::sendmmsg(fd, messages, count, flags); });
}
inline int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  return retried([&] { return ::recvmmsg(fd, messages, count, flags, nullptr); });
}
inline int accept4(int fd, sockaddr* peer, socklen_t* size, int flags) {
  return above_standard(retried([&] { return ::accept4(fd, peer, size, flags); }));
}
inline int connect(int fd, const sockaddr* to, socklen_t size) {
  return retried([&] { return ::connect(fd, to, size); });
}
inline int socket(int family, int type, int protocol) { return above_standard(::socket(family, type, protocol)); }
inline int bind(int fd, const sockaddr* to, socklen_t size) { return ::bind(fd, to, size); }
inline int listen(int fd, int backlog) { return ::listen(fd, backlog); }
inline int shutdown(int fd, int how) { return ::shutdown(fd, how); }
inline int getsockname(int fd, sockaddr* name, socklen_t* size) { return ::getsockname(fd, name, size); }
inline int getpeername(int fd, sockaddr* name, socklen_t* size) { return ::getpeername(fd, name, size); }
inline int getsockopt(int fd, int level, int option, int& value) {
  socklen_t size = sizeof value;
  return ::getsockopt(fd, level, option, &value, &size);
}
inline int setsockopt(int fd, int level, int option, int value) {
  return ::setsockopt(fd, level, option, &value, sizeof value);
}
/// The error that waits at a socket, which is taken from it (socket(7), SO_ERROR).
inline int take_error(int fd) {
  int err = 0;
  return sys::getsockopt(fd, SOL_SOCKET, SO_ERROR, err) == 0 ? err : errno;
}
/// close(2) will drop what is unsent and reset the connection (socket(7), SO_LINGER).
inline int reset_on_close(int fd) {
  const linger now{1, 0};
  return ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

inline int epoll_create1(int flags) { return above_standard(::epoll_create1(flags)); }
inline int epoll_ctl(int epoll, int op, int fd, epoll_event* event) { return ::epoll_ctl(epoll, op, fd, event); }
// Not retried, nor is the next one: the caller has to work out its timeout anew.
inline int epoll_wait(int epoll, epoll_event* events, int count, int timeout_ms) {
  return ::epoll_wait(epoll, events, count, timeout_ms);
}
inline int epoll_pwait2(int epoll, epoll_event* events, int count, const timespec& timeout) {
  return ::epoll_pwait2(epoll, events, count, &timeout, nullptr);
}
inline int poll(pollfd* fds, nfds_t count, int timeout_ms) { return ::poll(fds, count, timeout_ms); }
inline int eventfd(unsigned value, int flags) { return above_standard(::eventfd(value, flags)); }
inline int pipe2(int ends[2], int flags) {
  if (::pipe2(ends, flags) != 0) return -1;
  ends[0] = above_standard(ends[0]);
  if (ends[0] >= 0) ends[1] = above_standard(ends[1]);
  if (ends[0] >= 0 && ends[1] >= 0) [[likely]]
    return 0;
  const int failure = errno;
  close(ends[0] < 0 ? ends[1] : ends[0]);
  errno = failure;
  return -1;
}
inline int ioctl(int fd, unsigned long request, int* value) { return ::ioctl(fd, request, value); }

// Its caller moves it above 2: if that fails, a file that was created here must be removed.
inline int open(const char* path, int flags, mode_t mode) {
  return retried([&] { return ::open(path, flags, mode); });
}
inline int flock(int fd, int operation) {
  return retried([&] { return ::flock(fd, operation); });
}
inline int fstat(int fd, struct stat* info) { return ::fstat(fd, info); }
inline int lstat(const char* path, struct stat* info) { return ::lstat(path, info); }
inline int unlink(const char* path) { return ::unlink(path); }
inline int chmod_no_follow(const char* path, mode_t mode) {
  return ::fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW);
}
// Not retried: a sleep may be short.
inline int nanosleep(const timespec& time) { return ::nanosleep(&time, nullptr); }

}  // namespace evio::internal::sys
