#include "proc.hpp"

#include <sched.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace load {

std::uint64_t cpu_nanoseconds(int pid) {
  if (pid == 0) return 0;
  std::uint64_t sum = 0;
  std::error_code error;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
    std::ifstream file(task.path() / "schedstat");
    std::uint64_t nanoseconds = 0;
    if (file >> nanoseconds) sum += nanoseconds;
  }
  return sum;
}

void run_ahead_of_others() {
  sched_param priority{};
  priority.sched_priority = 1;
  sched_setscheduler(0, SCHED_FIFO, &priority);
}

std::uint64_t resident_bytes(int pid) {
  if (pid == 0) return 0;
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  std::string word;
  while (file >> word) {
    if (word != "Rss:") continue;
    std::uint64_t kilobytes = 0;
    file >> kilobytes;
    return kilobytes * 1024;
  }
  return 0;
}

std::uint64_t settled_resident_bytes(int pid) {
  constexpr int kReadings = 20;
  std::uint64_t last = resident_bytes(pid);
  for (int i = 0; i < kReadings; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const std::uint64_t now = resident_bytes(pid);
    if (now == last) break;
    last = now;
  }
  return last;
}

}  // namespace load
