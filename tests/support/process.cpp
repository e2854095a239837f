#include "tests/support/process.hpp"

#include <dirent.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <thread>

#include "tests/support/sync.hpp"

namespace evio::test {
namespace {

std::string task_file(pid_t thread, const char* name) {
  return "/proc/self/task/" + std::to_string(thread) + "/" + name;
}

// Calls f with the name of each entry; not with the descriptor that is open for the listing itself.
template <class F>
void for_each_number_in(const char* folder, F&& f) {
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(folder), ::closedir);
  if (listing == nullptr) return;
  const int own = ::dirfd(listing.get());
  const bool of_descriptors = std::string(folder) == "/proc/self/fd";
  while (const dirent* entry = ::readdir(listing.get())) {
    if (entry->d_name[0] == '.') continue;
    const int number = std::atoi(entry->d_name);
    if (!of_descriptors || number != own) f(number);
  }
}

}  // namespace

std::map<int, std::string> open_descriptors() {
  std::map<int, std::string> found;
  for_each_number_in("/proc/self/fd", [&](int fd) {
    char target[PATH_MAX];
    const auto size = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof(target));
    found[fd] = size < 0 ? "?" : std::string(target, static_cast<std::size_t>(size));
  });
  return found;
}

std::vector<int> descriptors_of(const std::string& kind) {
  std::vector<int> found;
  for (const auto& [fd, target] : open_descriptors()) {
    if (target.starts_with(kind)) found.push_back(fd);
  }
  return found;
}

std::set<pid_t> threads() {
  std::set<pid_t> found;
  for_each_number_in("/proc/self/task", [&](int thread) { found.insert(thread); });
  return found;
}

std::string describe_thread(pid_t thread) {
  std::string name = "?";
  std::ifstream(task_file(thread, "comm")) >> name;
  return std::to_string(thread) + " (" + name + ", " + thread_state(thread) + ")";
}

std::uint64_t context_switches(const std::set<pid_t>& of) {
  std::uint64_t sum = 0;
  for (const pid_t thread : of) {
    for (const std::string& line : lines_of(task_file(thread, "status"))) {
      if (line.find("ctxt_switches:") != std::string::npos) sum += std::stoull(line.substr(line.find(':') + 1));
    }
  }
  return sum;
}

char thread_state(pid_t thread) {
  for (const std::string& line : lines_of(task_file(thread, "status"))) {
    if (line.starts_with("State:")) return line[line.find_first_not_of("\t ", 6)];
  }
  return '?';
}

bool sleep_through(const std::set<pid_t>& threads, std::chrono::milliseconds time) {
  const auto asleep = [&] {
    return std::all_of(threads.begin(), threads.end(), [](pid_t thread) { return thread_state(thread) == 'S'; });
  };
  // In this order: one that ran in between has been switched, or runs still.
  const std::uint64_t before = context_switches(threads);
  if (!asleep()) return false;
  std::this_thread::sleep_for(time);
  return asleep() && context_switches(threads) == before;
}

std::chrono::nanoseconds cpu_time() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

double processors_busy_for(std::chrono::milliseconds meanwhile) {
  const auto began = std::chrono::steady_clock::now();
  const auto used = cpu_time();
  std::this_thread::sleep_for(meanwhile);
  const std::chrono::duration<double> busy = cpu_time() - used;
  return busy / (std::chrono::steady_clock::now() - began);
}

bool comes_to_rest() {
  return eventually([] { return processors_busy_for(std::chrono::milliseconds(250)) < 0.1; });
}

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

}  // namespace evio::test
