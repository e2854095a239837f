#pragma once

#include <chrono>

// Which sanitizer this is built with: g++ defines one thing, clang++ another.
#if defined(__SANITIZE_ADDRESS__)
#define EVIO_TEST_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EVIO_TEST_ADDRESS_SANITIZER 1
#endif
#endif
#ifndef EVIO_TEST_ADDRESS_SANITIZER
#define EVIO_TEST_ADDRESS_SANITIZER 0
#endif

#if defined(__SANITIZE_THREAD__)
#define EVIO_TEST_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define EVIO_TEST_THREAD_SANITIZER 1
#endif
#endif
#ifndef EVIO_TEST_THREAD_SANITIZER
#define EVIO_TEST_THREAD_SANITIZER 0
#endif

namespace evio::test {

inline constexpr bool kAddressSanitizer = EVIO_TEST_ADDRESS_SANITIZER != 0;
inline constexpr bool kThreadSanitizer = EVIO_TEST_THREAD_SANITIZER != 0;
inline constexpr bool kSanitized = kAddressSanitizer || kThreadSanitizer;

/// How long a test waits for something that must happen before it says that it did not. Never a figure a test asserts,
/// and never waited through by a test that passes: so it is long enough for a program that gets a fifteenth of a
/// processor.
inline constexpr std::chrono::milliseconds kPatience = std::chrono::seconds(kSanitized ? 120 : 30);

/// How long a test may take as a whole before its watchdog ends the process; below ctest's own limit.
inline constexpr std::chrono::milliseconds kWatchdogLimit = std::chrono::seconds(kSanitized ? 720 : 240);

/// How long a test watches for something that must not happen. Load may hide it meanwhile, and cannot make it happen.
inline constexpr std::chrono::milliseconds kQuietTime = std::chrono::milliseconds(150);

/// How long something took, for what may happen so often in a millisecond and no more: load makes both longer.
/// Thread-safety: one thread at a time.
class Stopwatch {
 public:
  /// Rounded up.
  int milliseconds() const {
    const auto elapsed = std::chrono::steady_clock::now() - began_;
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(elapsed).count());
  }

 private:
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace evio::test
