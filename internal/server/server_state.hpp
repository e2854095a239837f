#pragma once

#include <algorithm>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "evio/addr.hpp"
#include "evio/events.hpp"
#include "internal/loop/endpoint.hpp"
#include "internal/loop/figures.hpp"
#include "internal/loop/note_queue.hpp"
#include "internal/loop/server_control.hpp"
#include "internal/server/balancer.hpp"
#include "internal/server/connection_limit.hpp"
#include "internal/server/loop_tasks.hpp"
#include "internal/server/name_lookups.hpp"
#include "internal/server/notices.hpp"
#include "internal/server/peer_limit.hpp"

namespace evio::internal {

class Dialer;
class StreamHost;

/// What all loops of one server share, and what a Server is a handle of. Addresses and queues are filled in before
/// `serving` is called and stay as they are. Thread-safety: any thread; shut_down() also from a signal handler.
class ServerState final : public ServerControl {
 public:
  /// The events must live as long as the loops run.
  ServerState(const Events& events, int loops)
      : has_stopping_(static_cast<bool>(events.stopping)),
        balancer_(events.load_balance, loops),
        connection_limit_(events.max_connections, stop_),
        peer_limit_(events.max_per_ip),
        notices_(events, *this, loops) {
    for (int i = 0; i != loops; ++i) figures.push_back(std::make_shared<Figures>());
  }

  std::vector<Addr> addrs;
  std::vector<RefPtr<NoteQueue>> queues;  // one for each loop
  std::vector<std::shared_ptr<Figures>> figures;
  // The same; valid while the queue takes notes.
  std::vector<LoopTasks*> tasks;
  std::vector<StreamHost*> hosts;
  std::vector<Dialer*> dialers;

  Balancer& balancer() noexcept { return balancer_; }
  ConnectionLimit& connection_limit() noexcept { return connection_limit_; }
  PeerLimit& peer_limit() noexcept { return peer_limit_; }
  NameLookups& lookups() noexcept { return lookups_; }
  /// The loop of a connection that no listener has accepted, which counts there: the one that was asked for, 0 or more;
  /// else the one whose thread this is; else as the balancer chooses.
  int choose_loop(int asked, const Addr& peer = {});
  const StopFlag& stop_flag() const noexcept { return stop_; }
  bool shutting_down() const noexcept { return stop_.is_set(); }

  /// Where there is a `stopping`, loop 0 calls it first, and then begin_shutdown().
  void shut_down() noexcept override {
    if (!has_stopping_) return begin_shutdown();
    asked_.set();
    if (!queues.empty()) queues.front()->post(Signal::kStopping);
  }
  void begin_shutdown() noexcept {
    stop_.set();
    for (const auto& queue : queues) queue->post(Signal::kShutdown);
  }
  /// The loop whose thread this is; -1 if there is none.
  int loop_here() const noexcept {
    const auto own = std::ranges::find_if(queues, [](const auto& queue) { return queue->on_loop_thread(); });
    return own == queues.end() ? -1 : (*own)->loop_index();
  }
  bool shutdown_asked() const noexcept { return asked_.is_set() || stop_.is_set(); }

  void fail() noexcept override {
    keep_exception();
    shut_down();
  }
  void keep_exception() noexcept {
    const std::lock_guard lock(mutex_);
    if (!exception_) exception_ = std::current_exception();
  }
  /// Throws what fail() kept.
  void rethrow() {
    if (exception_) std::rethrow_exception(std::exchange(exception_, nullptr));
  }

  void notice(int loop, Notice what, std::error_code code, std::string_view message) noexcept override {
    notices_.tell(loop, what, code, message);
  }
  void on_closed(const Endpoint& connection) noexcept override {
    balancer_.on_closed(connection.loop_index());
    if (connection.addr_index() < 0) return;  // not accepted
    if (peer_limit_.is_set()) peer_limit_.remove(connection.remote());
    // Last: with the slot the next one is accepted, to which the other two must be open.
    if (connection_limit_.is_set()) connection_limit_.release();
  }

 private:
  const bool has_stopping_;
  StopFlag asked_;  // and `stopping` is still to be called
  StopFlag stop_;
  Balancer balancer_;
  ConnectionLimit connection_limit_;
  PeerLimit peer_limit_;
  Notices notices_;
  NameLookups lookups_;
  std::mutex mutex_;
  std::exception_ptr exception_;
};

inline int ServerState::choose_loop(int asked, const Addr& peer) {
  const int loop = asked < 0 ? loop_here() : asked;
  if (loop < 0) return balancer_.choose(0, false, random_number(), peer);
  balancer_.add(loop);
  return loop;
}

}  // namespace evio::internal
