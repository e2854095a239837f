#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "internal/base/file_descriptor.hpp"
#include "internal/base/syscalls.hpp"
#include "internal/loop/figures.hpp"

namespace evio::internal {

/// The socket of a stream: every read and write of a connection goes through here. Results are those of the system
/// calls: -1 and errno. SIGPIPE is never raised (send(2): MSG_NOSIGNAL). Thread-safety: its loop's thread.
class Transport {
 public:
  explicit Transport(FileDescriptor fd) noexcept : fd_(std::move(fd)) {}

  int fd() const noexcept { return fd_.get(); }

  /// Not retried after EINTR, nor is write_once(), and not counted: the fast path of a loop, which takes another way
  /// when they fail, and counts what they have done.
  ssize_t read_once(char* to, std::size_t size) noexcept { return sys::read_once(fd_.get(), to, size); }
  ssize_t write_once(const char* from, std::size_t size) noexcept {
    return sys::send_once(fd_.get(), from, size, MSG_NOSIGNAL);
  }
  ssize_t read(Figures& figures, std::span<char> to) noexcept {
    return count_read(figures, sys::read(fd_.get(), to.data(), to.size()));
  }
  /// Not counted: no user's bytes.
  ssize_t discard(std::span<char> to) noexcept { return sys::read(fd_.get(), to.data(), to.size()); }
  ssize_t write(Figures& figures, std::span<iovec> parts) noexcept {
    if (parts.size() == 1)
      return count_write(figures, sys::send(fd_.get(), parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL));
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    return count_write(figures, sys::sendmsg(fd_.get(), &message, MSG_NOSIGNAL));
  }

  // Of a datagram socket, one at a time; not counted.
  ssize_t receive(std::span<char> to) noexcept { return sys::read(fd_.get(), to.data(), to.size()); }
  ssize_t send_datagram(std::span<iovec> parts) noexcept {
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    return sys::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
  }

  /// How many bytes have arrived and were not read (FIONREAD, ioctl_tty(2)).
  int unread() const noexcept { return queue_length(FIONREAD); }
  /// How many written bytes the peer has not acknowledged (SIOCOUTQ, tcp(7)). For TCP alone: what a unix socket has
  /// taken is with its peer.
  int unacknowledged() const noexcept { return queue_length(SIOCOUTQ); }

  /// Whether it has failed or is shut down both ways: what a poller reports whatever it is watched for.
  bool has_hung_up() const noexcept {
    pollfd state{fd_.get(), 0, 0};
    return sys::poll(&state, 1, 0) == 1;
  }
  /// What the socket has failed with; 0: nothing (SO_ERROR, socket(7)).
  int take_error() noexcept { return sys::take_error(fd_.get()); }

  bool end_output() noexcept { return sys::shutdown(fd_.get(), SHUT_WR) == 0; }
  /// close() will drop what is unsent and reset the connection.
  void reset_on_close() noexcept { sys::reset_on_close(fd_.get()); }
  void close() noexcept { fd_.close(); }
  /// Gives the socket away, blocking.
  int detach() noexcept {
    sys::fcntl(fd_.get(), F_SETFL, sys::fcntl(fd_.get(), F_GETFL, 0) & ~O_NONBLOCK);
    return fd_.release();
  }

 private:
  static ssize_t count_read(Figures& figures, ssize_t n) noexcept {
    if (n > 0) figures.count_read(static_cast<std::size_t>(n));
    return n;
  }
  static ssize_t count_write(Figures& figures, ssize_t n) noexcept {
    if (n > 0) figures.count_write(static_cast<std::size_t>(n));
    return n;
  }
  int queue_length(unsigned long request) const noexcept {
    int bytes = 0;
    return sys::ioctl(fd_.get(), request, &bytes) == 0 ? bytes : 0;
  }

  FileDescriptor fd_;
};

}  // namespace evio::internal
