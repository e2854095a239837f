#pragma once

#include <cstddef>
#include <cstdint>

namespace evio::test {

/// From now on what this thread allocates is counted: every malloc, calloc, realloc and mmap, and so every operator
/// new.
void count_allocations_here() noexcept;
/// How many there were on all such threads.
std::uint64_t allocations() noexcept;
/// How many bytes of the heap, and mapped, all threads hold now.
std::size_t live_bytes() noexcept;

}  // namespace evio::test
