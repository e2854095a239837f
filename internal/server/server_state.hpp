#pragma once

#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#include "evio/addr.hpp"
#include "evio/events.hpp"
#include "internal/loop/endpoint.hpp"
#include "internal/loop/note_queue.hpp"
#include "internal/loop/server_control.hpp"
#include "internal/server/balancer.hpp"
#include "internal/server/connection_limit.hpp"
#include "internal/server/peer_limit.hpp"

namespace evio::internal {

/// What all loops of one server share, and what a Server is a handle of. Addresses and queues are filled in before
/// `serving` is called and stay as they are. Thread-safety: any thread; shut_down() also from a signal handler.
class ServerState final : public ServerControl {
 public:
  ServerState(LoadBalance policy, int loops, int max_connections = 0, int max_per_ip = 0)
      : balancer_(policy, loops), connection_limit_(max_connections, stop_), peer_limit_(max_per_ip) {}

  std::vector<Addr> addrs;
  std::vector<RefPtr<NoteQueue>> queues;  // one for each loop

  Balancer& balancer() noexcept { return balancer_; }
  ConnectionLimit& connection_limit() noexcept { return connection_limit_; }
  PeerLimit& peer_limit() noexcept { return peer_limit_; }
  const StopFlag& stop_flag() const noexcept { return stop_; }
  bool shutting_down() const noexcept { return stop_.is_set(); }

  void shut_down() noexcept override {
    stop_.set();
    for (const auto& queue : queues) queue->post(Signal::kShutdown);
  }

  void fail() noexcept override {
    {
      const std::lock_guard lock(mutex_);
      if (!exception_) exception_ = std::current_exception();
    }
    shut_down();
  }
  /// Throws what fail() kept.
  void rethrow() {
    if (exception_) std::rethrow_exception(std::exchange(exception_, nullptr));
  }

  void on_closed(const Endpoint& connection) noexcept override {
    balancer_.on_closed(connection.loop_index());
    if (connection.addr_index() < 0) return;  // not accepted
    if (peer_limit_.is_set()) peer_limit_.remove(connection.remote());
    // Last: with the slot the next one is accepted, to which the other two must be open.
    if (connection_limit_.is_set()) connection_limit_.release();
  }

 private:
  StopFlag stop_;
  Balancer balancer_;
  ConnectionLimit connection_limit_;
  PeerLimit peer_limit_;
  std::mutex mutex_;
  std::exception_ptr exception_;
};

}  // namespace evio::internal
