#include "tests/perf/allocations.hpp"

#include <malloc.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>

namespace {

thread_local bool counted = false;
// relaxed, both: read when the answer to what was counted has arrived.
std::atomic<std::uint64_t> count{0};
std::atomic<std::size_t> live{0};

void* noted(void* memory) noexcept {
  if (counted) count.fetch_add(1, std::memory_order_relaxed);
  live.fetch_add(malloc_usable_size(memory), std::memory_order_relaxed);
  return memory;
}

void forget(void* memory) noexcept { live.fetch_sub(malloc_usable_size(memory), std::memory_order_relaxed); }

}  // namespace

namespace evio::test {

void count_allocations_here() noexcept { counted = true; }
std::uint64_t allocations() noexcept { return count.load(std::memory_order_relaxed); }
std::size_t live_bytes() noexcept { return live.load(std::memory_order_relaxed); }

}  // namespace evio::test

// In place of the C library's, which they call: malloc(3) may be replaced by a program.
extern "C" {
void* __libc_malloc(std::size_t size);                 // NOLINT(bugprone-reserved-identifier)
void* __libc_calloc(std::size_t n, std::size_t size);  // NOLINT(bugprone-reserved-identifier)
void* __libc_realloc(void* old, std::size_t size);     // NOLINT(bugprone-reserved-identifier)
void __libc_free(void* memory);                        // NOLINT(bugprone-reserved-identifier)

void* malloc(std::size_t size) noexcept { return noted(__libc_malloc(size)); }
void* calloc(std::size_t n, std::size_t size) noexcept { return noted(__libc_calloc(n, size)); }
void* realloc(void* old, std::size_t size) noexcept {
  forget(old);
  void* const memory = __libc_realloc(old, size);
  if (memory == nullptr && size != 0) live.fetch_add(malloc_usable_size(old), std::memory_order_relaxed);
  return noted(memory);
}
void free(void* memory) noexcept {
  forget(memory);
  __libc_free(memory);
}

// Not those of malloc(3), which has its own way to the system.
void* mmap(void* at, std::size_t size, int protection, int flags, int fd, off_t offset) noexcept {
  const long memory = ::syscall(SYS_mmap, at, size, protection, flags, fd, offset);
  if (memory == -1) return MAP_FAILED;
  if (counted) count.fetch_add(1, std::memory_order_relaxed);
  live.fetch_add(size, std::memory_order_relaxed);
  return reinterpret_cast<void*>(memory);
}
int munmap(void* memory, std::size_t size) noexcept {
  live.fetch_sub(size, std::memory_order_relaxed);
  return static_cast<int>(::syscall(SYS_munmap, memory, size));
}
}
