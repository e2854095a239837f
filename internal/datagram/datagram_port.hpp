#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "evio/detail/ref_counted.hpp"
#include "internal/base/file_descriptor.hpp"
#include "internal/base/syscalls.hpp"

namespace evio::internal {

/// The descriptor of a datagram socket: any thread may send through it until its loop closes it. Closing waits for
/// nobody: of the loop and the senders that are inside, the last one out closes the descriptor.
/// Thread-safety: send() any thread; fd() and close() the loop's.
class DatagramPort final : public RefCounted {
 public:
  explicit DatagramPort(FileDescriptor fd) noexcept : fd_(std::move(fd)) {}

  /// Only before close().
  int fd() const noexcept { return fd_.get(); }
  /// Sends one datagram. False when the system does not take it, or after close().
  bool send(const msghdr& message) noexcept {
    if (!enter()) return false;
    const bool sent = sys::sendmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
    leave();
    return sent;
  }
  void close() noexcept {
    // acq_rel, here and in leave(): the descriptor is closed after its last use.
    if (state_.fetch_or(kClosed, std::memory_order_acq_rel) == 0) fd_.close();
  }

 private:
  static constexpr std::uint32_t kClosed = 1;
  static constexpr std::uint32_t kSender = 2;  // how many are inside

  bool enter() noexcept {
    std::uint32_t state = state_.load(std::memory_order_relaxed);
    do {
      if ((state & kClosed) != 0) return false;
    } while (!state_.compare_exchange_weak(state, state + kSender, std::memory_order_relaxed));
    return true;
  }
  void leave() noexcept {
    if (state_.fetch_sub(kSender, std::memory_order_acq_rel) == kClosed + kSender) fd_.close();
  }

  FileDescriptor fd_;
  std::atomic<std::uint32_t> state_{0};
};

}  // namespace evio::internal
