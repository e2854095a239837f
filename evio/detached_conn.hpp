#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include "evio/error.hpp"

namespace evio {

/// The sole owner of a socket that left its server by Action::Detach. The socket is blocking; the destructor closes it.
///
/// A DetachedConn may also own any other descriptor, such as a pipe or a file, whose flags it leaves alone. If that
/// descriptor is non-blocking or has a timeout (SO_RCVTIMEO, SO_SNDTIMEO), read and write fail with
/// resource_unavailable_try_again instead of waiting longer.
/// Thread-safety: one thread at a time; one thread may read while another writes, as with any socket.
class DetachedConn {
 public:
  /// Owns nothing.
  DetachedConn() noexcept = default;
  /// Takes ownership of a descriptor.
  explicit DetachedConn(int fd) noexcept : fd_(fd) {}
  /// Takes ownership from `other`.
  DetachedConn(DetachedConn&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  /// Closes the socket owned so far and takes ownership from `other`.
  DetachedConn& operator=(DetachedConn&& other) noexcept;
  /// Closes the socket.
  ~DetachedConn();

  /// Waits for bytes and reads up to buffer.size() of them. Returns how many were read; 0 without an error is the end
  /// of the stream, or means that `buffer` is empty. Resets `err`, and sets it if read(2) fails. Retries on EINTR.
  std::size_t read(std::span<char> buffer, Error& err);
  /// Writes all of `data`, for as long as that takes. Returns how much was written before an error, which is everything
  /// if there was none. Resets `err`, and sets it if send(2) fails, or write(2) if this is no socket. Never raises
  /// SIGPIPE: the error is EPIPE. Retries on EINTR.
  std::size_t write(std::string_view data, Error& err);
  /// Closes the socket. Fails if there is no socket or close(2) fails; the descriptor is released either way.
  Error close();
  /// The descriptor, still owned by this object; -1 if there is none.
  int fd() const noexcept { return fd_; }
  /// Gives up ownership and returns the descriptor; -1 if there is none.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

inline DetachedConn& DetachedConn::operator=(DetachedConn&& other) noexcept {
  DetachedConn moved(std::move(other));
  std::swap(fd_, moved.fd_);
  return *this;
}

}  // namespace evio
