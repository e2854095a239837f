#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "evio/error.hpp"
#include "evio/events.hpp"
#include "internal/net/listener_set.hpp"
#include "internal/server/server_state.hpp"
#include "internal/server/worker.hpp"

namespace evio::internal {

/// One call of serve(): opens the listeners, sets the workers up, runs them, and puts everything away again.
/// Thread-safety: the thread that calls serve().
class Engine {
 public:
  explicit Engine(Events events);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// For a program without a listener.
  Error open();
  /// Opens everything or nothing.
  Error open(std::span<const std::string> addrs);
  /// Calls serving and runs the loops until they have ended; rethrows what a callback threw.
  Error run();

 private:
  Error open_listeners(std::span<const std::string> addrs, bool& portable);
  void publish_listeners();
  Error make_workers(bool portable);
  Error assign_listeners(Worker& worker);
  std::error_code assign(Worker& worker, Listener& listener, Listener::Socket& socket, int addr_index);
  bool serving();
  Error loop_error(int index, std::error_code code, const std::string& what) const;
  Error cannot_start(int index, std::error_code code) const;

  std::string given_;  // what was called, with the addresses as the user wrote them, for messages
  Events events_;
  int num_loops_;
  std::shared_ptr<ServerState> server_;
  ListenerSet listeners_;
  Workers workers_;
};

}  // namespace evio::internal
