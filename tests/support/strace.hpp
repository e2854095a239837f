#pragma once

#include <sys/types.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace evio::test {

/// Traces the system calls of threads of this process with strace(1), from the constructor to stop(). They must be
/// asleep, and stay so until the constructor is done. Thread-safety: one thread at a time. Not under sanitizers, whose
/// own threads and calls would be in the way.
class Strace {
 public:
  explicit Strace(const std::set<pid_t>& threads);
  ~Strace();
  Strace(const Strace&) = delete;
  Strace& operator=(const Strace&) = delete;

  /// False where there is no strace or the system does not let a child trace its parent (ptrace(2), yama).
  bool attached() const noexcept { return attached_; }
  /// Detaches, and returns how often each system call was made (begun).
  std::map<std::string, int> stop();

 private:
  void start(const std::set<pid_t>& threads);

  pid_t child_ = -1;
  bool attached_ = false;
  std::string output_;
};

}  // namespace evio::test
