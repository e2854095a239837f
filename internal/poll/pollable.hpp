#pragma once

namespace evio::internal {

/// What a poller watches a descriptor for, and calls when it is ready: a connection, a listening socket, a datagram
/// socket. Thread-safety: the thread of the loop that watches it.
class Pollable {
 public:
  /// The descriptor is ready for what it is watched for, or has failed.
  virtual void on_ready() noexcept = 0;

 protected:
  ~Pollable() = default;
};

}  // namespace evio::internal
