#include "internal/net/listener_copies.hpp"

#include <cerrno>

#include "internal/base/syscalls.hpp"

namespace evio::internal {

std::vector<int> ListenerCopies::make() {
  errno = 0;  // it tells a failure from the end
  const std::lock_guard lock(mutex_);
  std::vector<FileDescriptor> made;
  std::vector<int> copies;
  made.reserve(sockets_.size());
  copies.reserve(sockets_.size());
  for (const int socket : sockets_) {
    made.emplace_back(sys::fcntl(socket, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
    if (made.back().valid()) continue;
    const int failure = errno;
    made.clear();
    errno = failure;
    return {};
  }
  if (!made.empty()) made_.store(true, std::memory_order_relaxed);
  for (FileDescriptor& copy : made) copies.push_back(copy.release());
  return copies;
}

bool ListenerCopies::end() noexcept {
  const std::lock_guard lock(mutex_);
  sockets_.clear();
  return any_made();
}

}  // namespace evio::internal
