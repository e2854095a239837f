#pragma once

#include <cstddef>
#include <cstdint>

namespace evio::test {

/// From now on what this thread allocates is counted: every malloc, calloc, realloc and mmap, and so every operator
/// new.
void count_allocations_here() noexcept;
/// How many there were on all such threads.
std::uint64_t allocations() noexcept;
/// How many bytes all threads hold now, of the heap and mapped.
std::size_t live_bytes() noexcept;

}  // namespace evio::test
