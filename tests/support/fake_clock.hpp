#pragma once

#include <chrono>

namespace evio::test {

/// While it lives, the steady clock of this thread stands still until it is advanced; other threads keep the real one.
/// A test that uses it is linked with support/fake_clock.cpp, and with WRAP ${steady_clock_now}.
/// Thread-safety: one thread, one at a time.
class FakeClock {
 public:
  FakeClock();
  ~FakeClock();
  FakeClock(const FakeClock&) = delete;
  FakeClock& operator=(const FakeClock&) = delete;

  void advance(std::chrono::nanoseconds time) noexcept;
  /// How often the clock was read on this thread.
  int reads() const noexcept;
};

}  // namespace evio::test
