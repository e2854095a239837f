#pragma once

#include <atomic>

#if defined(__SANITIZE_THREAD__)
#define EVIO_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define EVIO_THREAD_SANITIZER 1
#endif
#endif

namespace evio::internal {

/// Between what a caller wrote before its wake() and its look at whether a wake waits already; and between the loop's
/// taking that wake and what its callback reads. Either the caller finds the wake taken, or the callback sees what it
/// wrote, atomically or under a lock (C++20, [atomics.order]); without it, both may miss:
/// https://github.com/libuv/libuv/pull/349. Thread-safety: any thread.
#ifdef EVIO_THREAD_SANITIZER
constexpr bool kMayLookFirst = false;  // ThreadSanitizer knows no fences: there every wake changes the state
inline void wake_fence() noexcept {}
#else
constexpr bool kMayLookFirst = true;
inline void wake_fence() noexcept { std::atomic_thread_fence(std::memory_order_seq_cst); }
#endif

}  // namespace evio::internal
