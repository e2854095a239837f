#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace evio::test {

/// What /proc says of this process. All functions may be called from any thread.

/// The open descriptors and what each of them is, as /proc/self/fd links to it: "socket:[123]", "/dev/null".
std::map<int, std::string> open_descriptors();
/// The descriptors whose link begins with `kind`: "socket:", "anon_inode:[eventpoll]", "pipe:".
std::vector<int> descriptors_of(const std::string& kind);
/// The ids of all threads.
std::set<pid_t> threads();
/// A thread's name and state, for a message.
std::string describe_thread(pid_t thread);
/// How often these threads went to sleep and were put to sleep. A thread that is asleep and whose figure does not
/// change makes no system call, for it does not run.
std::uint64_t context_switches(const std::set<pid_t>& of);
/// What a thread is doing: 'S' is asleep.
char thread_state(pid_t thread);
/// Whether these threads slept all through that time. One that spins, or that has something to do and waits for a
/// processor, does not: load makes no difference.
bool sleep_through(const std::set<pid_t>& threads, std::chrono::milliseconds time);

/// The processor time of the whole process, kernel included.
std::chrono::nanoseconds cpu_time();

/// How many processors the process keeps busy meanwhile: about 0 when nothing moves, 1 for each thread that spins.
double processors_busy_for(std::chrono::milliseconds meanwhile);

/// Whether the process comes to use next to no processor time for a while. A thread that spins never does, unless it
/// gets no more; what is only being finished is over by one of the next looks. For where threads may wake up now and
/// then: where they may not, sleep_through() says it exactly.
[[nodiscard]] bool comes_to_rest();

/// The lines of a file; of /proc too.
std::vector<std::string> lines_of(const std::string& path);

}  // namespace evio::test
