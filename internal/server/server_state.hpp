#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
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
#include "internal/loop/timed_task.hpp"
#include "internal/loop/timer_wheel.hpp"
#include "internal/net/listener_copies.hpp"
#include "internal/server/balancer.hpp"
#include "internal/server/connection_count.hpp"
#include "internal/server/connection_limit.hpp"
#include "internal/server/loop_tasks.hpp"
#include "internal/server/name_lookups.hpp"
#include "internal/server/notices.hpp"
#include "internal/server/peer_limit.hpp"

namespace evio::internal {

class Dialer;
class StreamHost;

/// What all loops of one server share, and what a Server is a handle of. Addresses and queues are filled in before
/// `serving` is called and stay as they are. Thread-safety: any thread; shut_down() and drain() also from a signal
/// handler.
class ServerState final : public ServerControl {
 public:
  /// The events must live as long as the loops run.
  ServerState(const Events& events, int loops)
      : has_stopping_(static_cast<bool>(events.stopping)),
        balancer_(events.load_balance, loops),
        connections_(loops),
        connection_limit_(events.max_connections, closing_),
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

  ConnectionLimit& connection_limit() noexcept { return connection_limit_; }
  PeerLimit& peer_limit() noexcept { return peer_limit_; }
  NameLookups& lookups() noexcept { return lookups_; }
  ListenerCopies& copies() noexcept { return copies_; }
  /// The loop of a connection that was accepted, which counts until withdraw() or on_closed(): see Balancer::choose().
  int place(int accepting_loop, bool kernel_balanced, const Addr& peer) {
    const std::uint64_t random = balancer_.draws(kernel_balanced) ? random_number() : 0;
    const int loop = balancer_.choose(accepting_loop, kernel_balanced, random, peer);
    connections_.begin(accepting_loop);
    return loop;
  }
  /// The loop of a connection that no listener has accepted, which counts there: the one that was asked for, 0 or more;
  /// else the one whose thread this is; else as the balancer chooses.
  int choose_loop(int asked, const Addr& peer = {});
  /// A connection of that loop counts no more.
  void withdraw(int loop) noexcept;
  const StopFlag& stop_flag() const noexcept { return stop_; }
  bool shutting_down() const noexcept { return stop_.is_set(); }

  /// Where there is a `stopping`, loop 0 calls it first, and then begin_shutdown().
  void shut_down() noexcept override {
    if (!has_stopping_) return begin_shutdown();
    asked_.set();
    // relaxed: only that thread can find its own mark here.
    if (serving_thread_.load(std::memory_order_relaxed) == NoteQueue::this_thread()) serving_asked_.set();
    if (!queues.empty()) queues.front()->post(Signal::kStopping);
  }
  void begin_shutdown() noexcept {
    closing_.set();
    stop_.set();
    for (const auto& queue : queues) queue->post(Signal::kShutdown);
  }
  /// The loop whose thread this is; -1 if there is none.
  int loop_here() const noexcept {
    const auto own = std::ranges::find_if(queues, [](const auto& queue) { return queue->on_loop_thread(); });
    return own == queues.end() ? -1 : (*own)->loop_index();
  }
  bool shutdown_asked() const noexcept { return asked_.is_set() || stop_.is_set(); }

  /// This thread is about to call `serving`.
  void begin_serving() noexcept { serving_thread_.store(NoteQueue::this_thread(), std::memory_order_relaxed); }
  /// After `serving` has returned: true if serve() returns without running a loop. It does if `serving` itself has
  /// asked for the shutdown, or if there is no `stopping` to call. If another thread has asked, the loops run and shut
  /// down.
  bool ended_in_serving() const noexcept { return serving_asked_.is_set() || stop_.is_set(); }

  /// Server::drain().
  void drain(std::chrono::nanoseconds at_most) noexcept;
  bool draining() const noexcept { return draining_.is_set(); }
  /// The deadline of a drain. acquire: pairs with drain().
  Timer::TimePoint drain_until() const noexcept {
    return Timer::TimePoint(Timer::Clock::duration(drain_until_.load(std::memory_order_acquire)));
  }
  /// True once no loop may accept any more.
  bool closing() const noexcept { return closing_.is_set(); }
  /// No loop accepts any more. seq_cst, as in withdraw(): this sees a connection's end, or that end sees this.
  void on_listeners_closed() noexcept {
    listeners_closed_.store(true, std::memory_order_seq_cst);
    end_drain_if_empty();
  }
  /// serve() returns.
  void end() noexcept {
    closing_.set();
    stop_.set();
    lookups_.end();
  }

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
    const int loop = connection.loop_index();
    if (connection.addr_index() < 0) return withdraw(loop);  // not accepted
    if (peer_limit_.is_set()) peer_limit_.remove(connection.remote());
    withdraw(loop);
    // Last: with the slot the next one is accepted, to which the others must be open.
    if (connection_limit_.is_set()) connection_limit_.release();
  }

 private:
  void end_drain_if_empty() noexcept;

  const bool has_stopping_;
  StopFlag asked_;          // and `stopping` is still to be called
  StopFlag serving_asked_;  // on the thread that called it
  std::atomic<const void*> serving_thread_{nullptr};
  StopFlag closing_;  // listeners close; set before stop_
  StopFlag stop_;
  StopFlag draining_;
  std::atomic<bool> listeners_closed_{false};
  std::atomic<Timer::Clock::rep> drain_until_{Timer::kNever.time_since_epoch().count()};
  Balancer balancer_;
  ConnectionCount connections_;
  ConnectionLimit connection_limit_;
  PeerLimit peer_limit_;
  Notices notices_;
  NameLookups lookups_;
  ListenerCopies copies_;
  std::mutex mutex_;
  std::exception_ptr exception_;
};

inline int ServerState::choose_loop(int asked, const Addr& peer) {
  const int loop = asked < 0 ? loop_here() : asked;
  if (loop < 0) return place(0, false, peer);
  balancer_.add(loop);
  connections_.begin(loop);
  return loop;
}

inline void ServerState::withdraw(int loop) noexcept {
  balancer_.on_closed(loop);
  connections_.end(loop);
  if (listeners_closed_.load(std::memory_order_seq_cst)) [[unlikely]]
    end_drain_if_empty();
}

inline void ServerState::end_drain_if_empty() noexcept {
  if (draining() && !shutdown_asked() && connections_.none()) shut_down();
}

inline void ServerState::drain(std::chrono::nanoseconds at_most) noexcept {
  if (at_most <= std::chrono::nanoseconds(0)) return shut_down();
  if (shutdown_asked()) return;
  const auto until = time_after(at_most).time_since_epoch().count();
  auto before = drain_until_.load(std::memory_order_relaxed);
  // release: a loop may read it before the signal has reached it.
  while (until < before &&
         !drain_until_.compare_exchange_weak(before, until, std::memory_order_release, std::memory_order_relaxed)) {
  }
  draining_.set();
  closing_.set();
  for (const auto& queue : queues) queue->post(Signal::kDrain);
}

}  // namespace evio::internal
