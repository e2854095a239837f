#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "internal/base/sigpipe.hpp"
#include "internal/loop/loop.hpp"

namespace evio::internal {

/// The threads of a server's loops but the first. They wait for go(); those that never get it end without having run.
/// Thread-safety: the thread that made it.
class LoopThreads {
 public:
  LoopThreads() = default;
  LoopThreads(const LoopThreads&) = delete;
  LoopThreads& operator=(const LoopThreads&) = delete;
  ~LoopThreads() {
    open(Gate::kCancelled);
    join();
  }

  /// Starts a thread for the loop. Throws std::system_error, std::bad_alloc.
  void add(Loop& loop) {
    threads_.emplace_back([this, &loop] {
      gate_.wait(Gate::kShut, std::memory_order_acquire);
      if (gate_.load(std::memory_order_acquire) != Gate::kOpen) return;
      const SigpipeBlocked no_sigpipe;
      loop.run();
    });
  }
  void go() noexcept { open(Gate::kOpen); }
  /// Returns when all loops have ended.
  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  enum class Gate : std::uint8_t { kShut, kOpen, kCancelled };

  // release: what the server's thread has done before, in `serving` too, is visible to the loops.
  void open(Gate gate) noexcept {
    Gate shut = Gate::kShut;
    if (gate_.compare_exchange_strong(shut, gate, std::memory_order_release, std::memory_order_relaxed))
      gate_.notify_all();
  }

  std::atomic<Gate> gate_{Gate::kShut};
  std::vector<std::thread> threads_;
};

}  // namespace evio::internal
