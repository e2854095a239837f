#pragma once

#include <cstdio>
#include <cstdlib>

/// EVIO_ASSERT(condition): a statement about the library's own code, checked in debug and sanitizer builds. A program
/// cannot make it fail: what a user may do wrong is an Error. With NDEBUG the condition is compiled, never evaluated.
#ifdef NDEBUG
#define EVIO_ASSERT(condition) static_cast<void>(sizeof(!(condition)))
#else
#define EVIO_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : evio::internal::assertion_failed(#condition, __FILE__, __LINE__, __func__))
#endif

namespace evio::internal {

[[noreturn, gnu::cold, gnu::noinline]] inline void assertion_failed(const char* condition, const char* file, int line,
                                                                    const char* function) {
  std::fprintf(stderr, "%s:%d: %s: assertion failed: %s\n", file, line, function, condition);
  std::abort();
}

}  // namespace evio::internal
