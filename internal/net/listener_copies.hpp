#pragma once

#include <mutex>
#include <vector>

#include "internal/base/file_descriptor.hpp"

namespace evio::internal {

/// The sockets that a server listens on, for those who ask for duplicates to hand them over. It owns none of them:
/// whoever closes the first one calls end() before. Thread-safety: add() the thread that sets the server up; the rest
/// any thread.
class ListenerCopies {
 public:
  void add(int fd) { sockets_.push_back(fd); }
  /// A duplicate of each, close-on-exec, in the order in which they were added. None at all if one cannot be made, or
  /// after end().
  std::vector<int> make();
  /// No more are made. True when some were: then others may be listening on those sockets.
  bool end() noexcept;

 private:
  std::mutex mutex_;  // for what follows, and so that no socket is closed while it is duplicated
  std::vector<int> sockets_;
  bool made_ = false;
};

}  // namespace evio::internal
