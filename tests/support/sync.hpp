#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>

#include "tests/support/timing.hpp"

namespace evio::test {

/// A gate that is opened once and stays open. Thread-safety: any thread.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  bool is_open() const {
    const std::lock_guard lock(mutex_);
    return open_;
  }
  /// False when it was not opened for as long as a test is patient.
  [[nodiscard]] bool wait(std::chrono::milliseconds patience = kPatience) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [this] { return open_; });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool open_ = false;
};

/// Opens a gate when it goes, however the test ends: what waits there holds the server up. Thread-safety: its gate's.
class OpensAtEnd {
 public:
  explicit OpensAtEnd(Gate& gate) : gate_(gate) {}
  ~OpensAtEnd() { gate_.open(); }
  OpensAtEnd(const OpensAtEnd&) = delete;
  OpensAtEnd& operator=(const OpensAtEnd&) = delete;

 private:
  Gate& gate_;
};

/// A number one can wait for. Thread-safety: any thread.
class Counter {
 public:
  std::size_t add(std::size_t n = 1) {
    const std::lock_guard lock(mutex_);
    value_ += n;
    changed_.notify_all();
    return value_;
  }
  std::size_t value() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }
  /// False when it stayed below n for as long as a test is patient.
  [[nodiscard]] bool wait_for(std::size_t n, std::chrono::milliseconds patience = kPatience) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return value_ >= n; });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::size_t value_ = 0;
};

/// For what announces itself to nobody, such as a thread that leaves /proc: looks again and again until it is so.
/// False when it was not for as long as a test is patient.
template <class Condition>
[[nodiscard]] bool eventually(Condition&& condition, std::chrono::milliseconds patience = kPatience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace evio::test
