#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "evio/error.hpp"
#include "evio/events.hpp"
#include "internal/loop/loop.hpp"
#include "internal/net/listener_set.hpp"
#include "internal/server/balancer.hpp"
#include "internal/server/server_state.hpp"

namespace evio::internal {

/// One call of serve(): opens the listeners, sets the loops up, runs them, and puts everything away again.
/// Thread-safety: the thread that calls serve().
class Engine {
 public:
  explicit Engine(Events events);

  /// Opens everything or nothing.
  Error open(std::span<const std::string> addrs);
  /// Calls serving and runs the loops until they have ended; rethrows what a callback threw.
  Error run();

 private:
  Error open_listeners(std::span<const std::string> addrs, bool& portable);
  Error make_loops(bool portable);
  Error connect(Loop& loop, int index);
  bool serving();
  Error loop_error(int index, std::error_code code, const std::string& what) const;
  Error cannot_start(int index, std::error_code code) const;

  std::string given_;  // the addresses as the user wrote them, for messages
  Events events_;
  int num_loops_;
  Balancer balancer_;
  std::shared_ptr<ServerState> server_ = std::make_shared<ServerState>();
  ListenerSet listeners_;
  std::vector<std::unique_ptr<Loop>> loops_;
};

}  // namespace evio::internal
