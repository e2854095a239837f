#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "internal/server/worker.hpp"

namespace evio::internal {

/// The threads of all of a server's workers but the first. They wait for go(); without it they end and have run
/// nothing. Thread-safety: the thread that made it.
class WorkerThreads {
 public:
  WorkerThreads() = default;
  WorkerThreads(const WorkerThreads&) = delete;
  WorkerThreads& operator=(const WorkerThreads&) = delete;
  ~WorkerThreads() {
    open(Gate::kCancelled);
    join();
  }

  /// Starts a thread for the worker. Throws std::system_error, std::bad_alloc.
  void add(Worker& worker) {
    threads_.emplace_back([this, &worker] {
      gate_.wait(Gate::kShut, std::memory_order_acquire);
      if (gate_.load(std::memory_order_acquire) == Gate::kOpen) worker.run();
    });
  }
  void go() noexcept { open(Gate::kOpen); }
  /// Returns when all workers have ended.
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
