#pragma once

#include <memory>
#include <vector>

#include "evio/events.hpp"
#include "internal/datagram/datagram_receiver.hpp"
#include "internal/loop/loop.hpp"
#include "internal/net/listener_set.hpp"
#include "internal/server/acceptor.hpp"
#include "internal/server/dialer.hpp"
#include "internal/server/handshake.hpp"
#include "internal/server/loop_tasks.hpp"
#include "internal/server/server_state.hpp"
#include "internal/stream/stream_host.hpp"

namespace evio::internal {

/// One loop and what it serves: listeners, connections, datagram sockets, the tick; and the order in which they end.
/// Thread-safety: set up by the engine; from run() on it belongs to the thread in run().
class Worker final : public LoopHandler {
 public:
  Worker(int index, std::unique_ptr<Poller> poller, const Events& events, ServerState& server, ListenerSet& listeners);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  Loop& loop() noexcept { return loop_; }
  StreamHost& streams() noexcept { return streams_; }
  LoopTasks& tasks() noexcept { return tasks_; }
  Dialer& dialer() noexcept { return dialer_; }
  Handshakes& handshakes() noexcept { return handshakes_; }

  /// Accepts at a listening socket, which stays the listener's.
  std::error_code listen(const Listener& listener, const Listener::Socket& socket, int addr_index,
                         const Workers& workers);
  /// Serves a datagram socket, which becomes this worker's.
  std::error_code receive(FileDescriptor fd, int addr_index, const Addr& addr);

  /// Runs until the server has shut down and everything is closed.
  void run() noexcept;

  /// Instead of run(): what was posted ends here.
  void end_unrun() noexcept { loop_.close(); }

 private:
  void on_shutdown() noexcept override;
  void on_stopping() noexcept override;
  void on_tick() noexcept override { tick(Timer::Clock::now()); }
  void on_sweep() noexcept override {
    streams_.sweep();
    dialer_.sweep();
  }
  void on_listen() noexcept override;
  void on_drain() noexcept override;
  bool done() noexcept override;
  void on_end() noexcept override;
  void tick(Timer::TimePoint now) noexcept;
  void stop_listening() noexcept;
  void drained_long_enough(Timer::TimePoint) noexcept { server_.shut_down(); }
  void end_drain(Timer::TimePoint now) noexcept;

  const Events& events_;
  ServerState& server_;
  ListenerSet& listeners_;
  Loop loop_;
  StreamHost streams_;
  LoopTasks tasks_;
  Handshakes handshakes_;
  Dialer dialer_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  std::vector<std::unique_ptr<DatagramReceiver>> receivers_;
  MemberTimer<&Worker::tick> tick_timer_{*this};
  MemberTimer<&Worker::drained_long_enough> shutdown_timer_{*this};  // loop 0: of Server::drain()
  MemberTimer<&Worker::end_drain> drain_timer_{*this};
  bool listening_ = true;
  bool drained_ = false;
};

}  // namespace evio::internal
