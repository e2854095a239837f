#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstddef>

#include "internal/buffer/output_queue.hpp"

namespace evio::test {

/// How far a write got.
enum class Sent { kAll, kBlocked, kFailed };

/// Writes as much of the queue as the socket takes, as a connection does. kFailed leaves errno.
inline Sent write_queue(internal::OutputQueue& queue, int fd) {
  while (!queue.empty()) {
    internal::OutputQueue::Batch batch;
    queue.gather(batch);
    msghdr message{};
    message.msg_iov = batch.parts.data();
    message.msg_iovlen = batch.count;
    const ssize_t n = ::sendmsg(fd, &message, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN ? Sent::kBlocked : Sent::kFailed;
    queue.remove(static_cast<std::size_t>(n));
    if (static_cast<std::size_t>(n) < batch.bytes) return Sent::kBlocked;
  }
  return Sent::kAll;
}

}  // namespace evio::test
