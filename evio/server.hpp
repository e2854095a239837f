#pragma once

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "evio/addr.hpp"
#include "evio/detail/task.hpp"
#include "evio/stats.hpp"
#include "evio/timer.hpp"

namespace evio {

namespace internal {
class ServerAccess;
class ServerState;
}  // namespace internal

/// A copyable handle to a running server, passed to `serving`; see also Conn::server(). A default-constructed Server
/// refers to no server: it has no addresses and no loops, and shutdown() does nothing. Thread-safety: all methods may
/// be called from any thread at any time, even after serve() has returned.
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
  /// What loop `loop` has done so far, or with -1 all loops together; all 0 if there is no such loop. Stops no loop,
  /// and also works after serve() has returned.
  Stats stats(int loop = -1) const noexcept;

  /// Calls f, an `Action()` which may be move-only, on that loop's thread. Shutdown is the only action with an effect;
  /// an exception shuts the server down. f runs even if shutdown() is called afterwards. Returns false, and destroys f,
  /// if there is no such loop, if it has begun to shut down, or if there is no memory.
  template <class F>
  bool post(int loop, F f) const {
    return post_task(loop, internal::make_task<internal::LoopTaskOf<F>, internal::LoopTask>(std::move(f)));
  }
  /// Calls f as post() does, once `delay` has passed: never early. A shutdown destroys f if it is not due before.
  /// Returns a Timer of nothing, and destroys f, where post() would return false.
  template <class F>
  Timer post_after(int loop, std::chrono::nanoseconds delay, F f) const {
    return post_task_after(loop, delay, internal::make_task<internal::LoopTaskOf<F>, internal::LoopTask>(std::move(f)));
  }

 private:
  friend class internal::ServerAccess;
  bool post_task(int loop, std::unique_ptr<internal::LoopTask> task) const;
  Timer post_task_after(int loop, std::chrono::nanoseconds delay, std::unique_ptr<internal::LoopTask> task) const;
  explicit Server(std::shared_ptr<internal::ServerState> state) noexcept : state_(std::move(state)) {}

  std::shared_ptr<internal::ServerState> state_;
};

}  // namespace evio
