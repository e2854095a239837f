#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <vector>

#include "evio/addr.hpp"
#include "evio/detail/ref_counted.hpp"
#include "internal/loop/note_queue.hpp"

namespace evio::internal {

/// What all loops of one server share, and what a Server is a handle of. Addresses and queues are filled in before
/// `serving` is called and stay as they are. Thread-safety: any thread; shut_down() also from a signal handler.
class ServerState {
 public:
  std::vector<Addr> addrs;
  std::vector<RefPtr<NoteQueue>> queues;  // one for each loop

  /// Asks every loop to end.
  void shut_down() noexcept {
    // release: whoever sees the flag sees what was done before, sends above all.
    shutting_down_.store(true, std::memory_order_release);
    for (const auto& queue : queues) queue->wake();
  }
  /// acquire: pairs with shut_down(). Read on every turn of a loop: a line that no one writes stays in every cache.
  bool shutting_down() const noexcept { return shutting_down_.load(std::memory_order_acquire); }

  /// The first of `count` new numbers of connections. relaxed: only that they differ counts.
  std::uint64_t next_ids(std::uint64_t count) noexcept { return next_id_.fetch_add(count, std::memory_order_relaxed); }

  /// Keeps the exception in flight, the first one, and shuts down.
  void fail() noexcept {
    {
      const std::lock_guard lock(mutex_);
      if (!exception_) exception_ = std::current_exception();
    }
    shut_down();
  }
  /// Throws what fail() kept.
  void rethrow() {
    if (exception_) std::rethrow_exception(std::exchange(exception_, nullptr));
  }

 private:
  std::atomic<bool> shutting_down_{false};
  std::atomic<std::uint64_t> next_id_{1};
  std::mutex mutex_;
  std::exception_ptr exception_;
};

}  // namespace evio::internal
