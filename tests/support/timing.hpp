#pragma once

#include <chrono>

namespace evio::test {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitizer = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif
#else
inline constexpr bool kAddressSanitizer = false;
#endif

#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif
#else
inline constexpr bool kThreadSanitizer = false;
#endif

inline constexpr bool kSanitized = kAddressSanitizer || kThreadSanitizer;

/// How long a test waits for something that must happen before it says that it did not. Never a figure a test asserts.
inline constexpr std::chrono::milliseconds kPatience = std::chrono::seconds(kSanitized ? 60 : 15);

/// How long a test may take as a whole before its watchdog ends the process; below ctest's own limit.
inline constexpr std::chrono::milliseconds kWatchdogLimit = std::chrono::seconds(kSanitized ? 200 : 50);

/// How long a test watches for something that must not happen.
inline constexpr std::chrono::milliseconds kQuietTime = std::chrono::milliseconds(150);

}  // namespace evio::test
