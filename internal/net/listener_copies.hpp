#pragma once

#include <atomic>
#include <mutex>
#include <vector>

#include "internal/base/file_descriptor.hpp"

namespace evio::internal {

/// The sockets that a server listens on, of which dup_listeners() makes duplicates. It owns none of them: end() must
/// be called before the first one is closed. Thread-safety: add() the thread that sets the server up; the rest
/// any thread.
class ListenerCopies {
 public:
  void add(int fd) { sockets_.push_back(fd); }
  /// A duplicate of each, close-on-exec, in the order in which they were added. None at all if one cannot be made, or
  /// after end().
  std::vector<int> make();
  /// Whether any were made. relaxed: a hint that another process may be listening, too.
  bool any_made() const noexcept { return made_.load(std::memory_order_relaxed); }
  /// Makes no more from now on. True if any were made: others may then be listening on those sockets.
  bool end() noexcept;

 private:
  std::mutex mutex_;  // guards what follows; keeps sockets open while they are duplicated
  std::vector<int> sockets_;
  std::atomic<bool> made_{false};
};

}  // namespace evio::internal
