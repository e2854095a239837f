#pragma once

#include <cstdint>

namespace load {

/// Nanoseconds of CPU that all threads of a process have used (/proc/PID/task/*/schedstat); 0 when pid is 0.
std::uint64_t cpu_nanoseconds(int pid);
/// Gives the thread that calls it precedence over those without. Where that is not allowed it mostly runs at once all
/// the same.
void run_ahead_of_others();
/// Bytes of memory that a process has resident, exactly (/proc/PID/smaps_rollup); 0 when pid is 0.
std::uint64_t resident_bytes(int pid);
/// The same, once two readings some time apart agree.
std::uint64_t settled_resident_bytes(int pid);

}  // namespace load
