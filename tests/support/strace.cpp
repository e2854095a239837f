#include "tests/support/strace.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "tests/support/process.hpp"
#include "tests/support/sync.hpp"

namespace evio::test {
namespace {

bool is_traced(pid_t thread) {
  for (const std::string& line : lines_of("/proc/self/task/" + std::to_string(thread) + "/status")) {
    if (line.starts_with("TracerPid:")) return line.substr(line.find_first_not_of("\t ", 10)) != "0";
  }
  return false;
}

}  // namespace

// A thread says that it is traced a moment before its calls are: strace seizes it, interrupts it, and from then on is
// told of each. So it must have been woken from its sleep, and be back in it.
Strace::Strace(const std::set<pid_t>& threads) {
  std::map<pid_t, std::uint64_t> before;
  for (const pid_t thread : threads) before[thread] = context_switches({thread});
  char name[] = "/tmp/evio-strace-XXXXXX";
  const int fd = ::mkstemp(name);
  if (fd < 0) return;
  ::close(fd);
  output_ = name;
  start(threads);
  const auto is_watched = [&](pid_t thread) {
    return is_traced(thread) && context_switches({thread}) > before[thread] && thread_state(thread) == 'S';
  };
  const auto gone = [this] { return ::waitpid(child_, nullptr, WNOHANG) == child_ ? (child_ = -1, true) : false; };
  attached_ = child_ > 0 &&
              eventually([&] { return gone() || std::all_of(threads.begin(), threads.end(), is_watched); }) &&
              child_ > 0;
}

Strace::~Strace() {
  stop();
  if (!output_.empty()) ::unlink(output_.c_str());
}

void Strace::start(const std::set<pid_t>& threads) {
  std::vector<std::string> words{"strace", "-qq", "-o", output_};
  for (const pid_t thread : threads) words.insert(words.end(), {"-p", std::to_string(thread)});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t quiet;
  ::posix_spawn_file_actions_init(&quiet);
  ::posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  if (::posix_spawnp(&child_, "strace", &quiet, nullptr, arguments.data(), environ) != 0) child_ = -1;
  ::posix_spawn_file_actions_destroy(&quiet);
}

std::map<std::string, int> Strace::stop() {
  std::map<std::string, int> calls;
  if (child_ <= 0) return calls;
  ::kill(child_, SIGINT);
  ::waitpid(std::exchange(child_, -1), nullptr, 0);
  for (std::string line : lines_of(output_)) {
    // "1234 read(5, ..." when several threads are traced, "read(5, ..." when one is; "<... resumed" was counted before.
    const auto begin = line.find_first_not_of("0123456789 ");
    if (begin == std::string::npos || !std::islower(static_cast<unsigned char>(line[begin]))) continue;
    const auto end = line.find('(', begin);
    if (end != std::string::npos) ++calls[line.substr(begin, end - begin)];
  }
  return calls;
}

}  // namespace evio::test
