#pragma once

#include <atomic>
#include <cstddef>
#include <limits>

#include "internal/base/counter.hpp"

namespace evio::internal {

/// How many bytes of one connection were accepted for sending, and have not been taken by the kernel. What other
/// threads send is counted where they add it, and what the loop adds and writes apart from that, so that the loop
/// changes no word that others change, unless there is a limit.
/// Thread-safety: now(), reserve() and release() any thread; the rest the loop's.
class PendingBytes {
 public:
  static constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

  std::size_t now() const noexcept {
    std::size_t own = 0;
    std::size_t reserved = 0;
    do {
      own = own_.value();
      reserved = reserved_.load(std::memory_order_acquire);
    } while (own_.value() != own);  // both parts are of one moment
    return own + reserved;
  }

  /// `bytes` are about to be added, by the loop or another thread. False, and nothing is counted, if that would exceed
  /// the limit.
  bool reserve(std::size_t bytes) noexcept {
    if (limit() == kNoLimit) [[likely]] {
      reserved_.fetch_add(bytes, std::memory_order_relaxed);
      return true;
    }
    for (;;) {
      // In this order: what the loop has written by then was reserved before.
      const std::size_t own = own_.value();
      std::size_t reserved = reserved_.load(std::memory_order_acquire);
      if (own_.value() != own) continue;
      if (!fits(own + reserved, bytes)) return false;
      if (reserved_.compare_exchange_weak(reserved, reserved + bytes, std::memory_order_relaxed)) return true;
    }
  }
  /// They were not added.
  void release(std::size_t bytes) noexcept { reserved_.fetch_sub(bytes, std::memory_order_relaxed); }

  /// The loop's own, as reserve(). With a limit all of them are counted in one word, or two might take the same room.
  bool add_within_limit(std::size_t bytes) noexcept {
    if (limit() != kNoLimit) [[unlikely]]
      return reserve(bytes);
    add(bytes);
    return true;
  }
  void add(std::size_t bytes) noexcept { own_.add(bytes); }
  /// The kernel has taken them, or they are dropped.
  void remove(std::size_t bytes) noexcept { own_.subtract(bytes); }

  /// relaxed: other threads may send while `opened` returns.
  void set_limit(std::size_t bytes) noexcept { limit_.store(bytes, std::memory_order_relaxed); }

 private:
  std::size_t limit() const noexcept { return limit_.load(std::memory_order_relaxed); }
  bool fits(std::size_t pending, std::size_t more) const noexcept {
    const std::size_t most = limit();
    return pending <= most && more <= most - pending;
  }

  std::atomic<std::size_t> reserved_{0};
  Counter<std::size_t> own_;
  std::atomic<std::size_t> limit_{kNoLimit};
};

}  // namespace evio::internal
