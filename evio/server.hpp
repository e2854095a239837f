#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "evio/addr.hpp"

namespace evio {

namespace internal {
class ServerAccess;
class ServerState;
}  // namespace internal

/// A copyable handle to a running server, passed to `serving`. A default-constructed Server refers to no server: it has
/// no addresses and no loops, and shutdown() does nothing.
/// Thread-safety: all methods may be called from any thread at any time, even after serve() has returned.
class Server {
 public:
  /// Refers to no server.
  Server() = default;

  /// The addresses listened on, in the order given to serve(), with the real port in place of port 0.
  /// The reference is valid as long as any handle to this server exists.
  const std::vector<Addr>& addrs() const noexcept;
  /// The number of loops.
  int num_loops() const noexcept;
  /// Shuts down the server, as Action::Shutdown does. New connections are refused at once. May be called repeatedly, in
  /// `serving`, while serve() returns, afterwards, and in a signal handler: it is async-signal-safe
  /// (signal-safety(7)).
  void shutdown() const noexcept;

 private:
  friend class internal::ServerAccess;
  explicit Server(std::shared_ptr<internal::ServerState> state) noexcept : state_(std::move(state)) {}

  std::shared_ptr<internal::ServerState> state_;
};

}  // namespace evio
