#include "tests/perf/allocations.hpp"

#include <atomic>
#include <cstddef>

namespace {

thread_local bool counted = false;
// relaxed: read when the answer to what was counted has arrived.
std::atomic<std::uint64_t> count{0};

void note() noexcept {
  if (counted) count.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

namespace evio::test {

void count_allocations_here() noexcept { counted = true; }
std::uint64_t allocations() noexcept { return count.load(std::memory_order_relaxed); }

}  // namespace evio::test

// In place of the C library's, which they call: malloc(3) may be replaced by a program.
extern "C" {
void* __libc_malloc(std::size_t size);                 // NOLINT(bugprone-reserved-identifier)
void* __libc_calloc(std::size_t n, std::size_t size);  // NOLINT(bugprone-reserved-identifier)
void* __libc_realloc(void* old, std::size_t size);     // NOLINT(bugprone-reserved-identifier)

void* malloc(std::size_t size) noexcept {
  note();
  return __libc_malloc(size);
}
void* calloc(std::size_t n, std::size_t size) noexcept {
  note();
  return __libc_calloc(n, size);
}
void* realloc(void* old, std::size_t size) noexcept {
  note();
  return __libc_realloc(old, size);
}
}
