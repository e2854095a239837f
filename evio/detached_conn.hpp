#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include "evio/error.hpp"

namespace evio {

/// The sole owner of a socket that left its server by Action::Detach: blocking, movable, closed by the destructor. One
/// may be made of any other descriptor, too: a pipe, a file. It stays as it is; if it is non-blocking, or has a timeout
/// (SO_RCVTIMEO, SO_SNDTIMEO), read and write do not wait longer: they give resource_unavailable_try_again.
/// Thread-safety: one thread at a time; reading on one thread while writing on another is fine, as for any socket.
class DetachedConn {
 public:
  DetachedConn() noexcept = default;
  /// Takes the descriptor over.
  explicit DetachedConn(int fd) noexcept : fd_(fd) {}
  DetachedConn(DetachedConn&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  /// Closes the socket it had.
  DetachedConn& operator=(DetachedConn&& other) noexcept {
    DetachedConn moved(std::move(other));
    std::swap(fd_, moved.fd_);
    return *this;
  }
  ~DetachedConn();

  /// Waits for bytes and reads up to buffer.size() of them. Returns how many; 0 without an error is the end of the
  /// stream (or of the buffer, when that is empty). err is reset first, and set when read(2) fails. EINTR is retried.
  std::size_t read(std::span<char> buffer, Error& err);
  /// Writes all of it, waiting as long as that takes. Returns how much went before an error, all of it when there was
  /// none; nothing to write is no error. err is reset first, and set when send(2) or, where it is no socket, write(2)
  /// fails (EPIPE, never SIGPIPE). EINTR is retried.
  std::size_t write(std::string_view text, Error& err);
  /// Closes the socket. An error when there is none, or when close(2) gives one; the descriptor is gone all the same.
  Error close();
  /// The descriptor, which stays owned; -1 when there is none.
  int fd() const noexcept { return fd_; }
  /// The descriptor, which is the caller's from now on.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

}  // namespace evio
