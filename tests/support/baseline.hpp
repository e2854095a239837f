#pragma once

#include <sys/types.h>

#include <map>
#include <set>
#include <string>

namespace evio::test {

/// What the process had when this was made: a server must leave nothing behind. A descriptor is told by its file's
/// device and inode, for a name may change: ctest renames the log that its tests inherit. Thread-safety: one thread at
/// a time.
class Baseline {
 public:
  Baseline();

  /// Empty when descriptors and threads are what they were; otherwise what is left or missing. A joined thread may
  /// still be seen in /proc for a moment, so threads are looked at until they are gone.
  std::string difference() const;
  /// The threads that have come since.
  std::set<pid_t> new_threads() const;
  /// The descriptors that have come since, and what they are.
  std::map<int, std::string> new_descriptors() const;

 private:
  struct Descriptor {
    dev_t device = 0;
    ino_t inode = 0;
    std::string name;  // for messages
  };
  static std::map<int, Descriptor> descriptors();

  std::map<int, Descriptor> descriptors_;
  std::set<pid_t> threads_;
};

/// The names of the entries of a folder, for "nothing remains".
std::set<std::string> entries_of(const std::string& folder);

}  // namespace evio::test
