#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace evio::test {

/// Writes the stack of every other thread to standard error.
void dump_stacks();

/// Ends the process, with the test's name and the stack of every thread, when a test takes longer than `limit`. It has
/// a thread of its own, which takes no signals. Thread-safety: made and destroyed on one thread.
class Watchdog {
 public:
  Watchdog(std::string test, std::chrono::milliseconds limit);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  void watch();

  const std::string test_;
  const std::chrono::milliseconds limit_;
  std::mutex mutex_;
  std::condition_variable over_changed_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace evio::test
