#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "evio/addr.hpp"

namespace evio {

namespace internal {
class ServerState;
}

/// A copyable handle of a running server, given to the serving callback. Default constructed it is of nothing.
/// Thread-safety: all its methods may be called from any thread at any time, after serve() has returned too.
class Server {
 public:
  Server() = default;
  explicit Server(std::shared_ptr<internal::ServerState> state) noexcept : state_(std::move(state)) {}

  /// The addresses listened on, in the order given to serve(), with the real port where `:0` was asked for.
  /// Lives as long as some handle of this server.
  const std::vector<Addr>& addrs() const noexcept;
  /// How many loops run.
  int num_loops() const noexcept;
  /// Shuts the server down as Action::Shutdown does: newcomers are refused at once. May be called in `serving`, while
  /// serve() is returning and after, once or often, and from a signal handler: it is async-signal-safe
  /// (signal-safety(7)).
  void shutdown() const noexcept;

 private:
  std::shared_ptr<internal::ServerState> state_;
};

}  // namespace evio
