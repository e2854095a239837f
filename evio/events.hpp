#pragma once

#include <chrono>
#include <functional>

#include "evio/bytes.hpp"
#include "evio/conn.hpp"
#include "evio/detached_conn.hpp"
#include "evio/error.hpp"
#include "evio/output.hpp"
#include "evio/server.hpp"

namespace evio {

/// What a callback asks for when it returns. It acts after all output before it was handed to the kernel.
enum class Action {
  None,      ///< Nothing: go on.
  Detach,    ///< Hand the socket over to `detached`; Close where that is not set.
  Close,     ///< Close the connection once its output is sent.
  Shutdown,  ///< Shut the whole server down.
};

/// Which loop gets a new connection.
enum class LoadBalance {
  Random,            ///< Evenly spread at random; with reuseport the kernel spreads.
  RoundRobin,        ///< Connection number i, from 0, goes to loop i mod N.
  LeastConnections,  ///< To a loop that has the fewest.
};

/// What `opened` may set for its connection.
struct Options {
  /// More than 0 turns TCP keep-alive on (tcp(7): TCP_KEEPIDLE and TCP_KEEPINTVL), rounded up to whole seconds.
  std::chrono::nanoseconds tcp_keep_alive{0};
  /// True: `in`, and every copy of it, is a plain view of the loop's buffer, overwritten by the next read.
  bool reuse_input_buffer = false;
};

/// The server as its user writes it: any subset of the callbacks, and how many loops.
///
/// All events of one connection happen on one loop, one at a time; handlers of different loops run at the same time, so
/// what they share needs a lock or an atomic. A callback that waits keeps its loop from everything else. The `Conn&` is
/// good during the call, a copy of it for ever.
///
/// Of UDP there is only `data`, once for each datagram: a non-empty `out` goes back as one datagram, of the actions
/// Shutdown alone acts, and the Conn, kept, can send more later.
///
/// An exception that leaves `opened` or `data` closes that connection, and `closed` gets its message: what that call
/// added to `out` is dropped, what was sent before, by the call itself too, leaves. For UDP it costs that datagram its
/// answer. From any other callback it shuts the server down and serve() rethrows it.
struct Events {
  /// 0 and 1: one loop; less than 0: one for each CPU in the affinity mask (sched_getaffinity(2)).
  int num_loops = 0;
  LoadBalance load_balance = LoadBalance::Random;
  /// How long Shutdown waits for unsent output; 0 or less: not at all.
  std::chrono::nanoseconds drain_timeout = std::chrono::seconds(1);

  /// Once, on the thread that called serve(), when every address is listening; no other callback runs before it has
  /// returned. Shutdown returns at once.
  std::function<Action(const Server& server)> serving = nullptr;
  /// A connection was accepted. On its loop, first of its events. out is sent; opts are applied when it returns.
  std::function<Action(Conn& conn, Output& out, Options& opts)> opened = nullptr;
  /// A connection is over; err says why when it was not asked for by either side. On its loop, last of its events. Only
  /// Shutdown is heeded. Called for every connection when the server shuts down: what it sends to others then arrives
  /// where their loop has not begun to.
  std::function<Action(Conn& conn, const Error& err)> closed = nullptr;
  /// A connection that asked for Detach has sent its output: rwc is its socket. On its loop, last of its events. Only
  /// Shutdown is heeded.
  std::function<Action(Conn& conn, DetachedConn rwc)> detached = nullptr;
  /// Bytes that a callback or send() produced are about to leave: once for a batch, before any of them does. On the
  /// loop that will write them. A datagram's send() leaves within the call, before this could be called.
  std::function<void()> pre_write = nullptr;
  /// Bytes arrived; none after a wake(). On the connection's loop. A view of `in` lives until data returns, a copy of
  /// it for as long as you keep it (but see Options::reuse_input_buffer). A handler may declare a std::string_view for
  /// it.
  std::function<Action(Conn& conn, const Bytes& in, Output& out)> data = nullptr;
  /// On loop 0: right after serving, then `delay`, which is 0 at each call, after the last one returned; 0 or less: on
  /// the loop's next turn. Only Shutdown is heeded.
  std::function<Action(std::chrono::nanoseconds& delay)> tick = nullptr;
};

}  // namespace evio
