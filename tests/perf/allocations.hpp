#pragma once

#include <cstdint>

namespace evio::test {

/// From now on what this thread allocates is counted: every malloc, calloc and realloc, and so every operator new.
void count_allocations_here() noexcept;
/// How many there were on all such threads.
std::uint64_t allocations() noexcept;

}  // namespace evio::test
