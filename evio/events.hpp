#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string_view>

#include "evio/addr.hpp"
#include "evio/bytes.hpp"
#include "evio/conn.hpp"
#include "evio/detached_conn.hpp"
#include "evio/error.hpp"
#include "evio/output.hpp"
#include "evio/server.hpp"
#include "evio/tls.hpp"

namespace evio {

/// Returned by a callback. Takes effect once all output queued before it has been handed to the kernel.
enum class Action {
  None,      ///< Continue.
  Detach,    ///< Pass the socket to `detached`. The same as Close if `detached` is not set.
  Close,     ///< Close the connection once its output has been sent.
  Shutdown,  ///< Shut down the whole server.
};

/// Which loop gets a new connection.
enum class LoadBalance {
  Random,            ///< Evenly distributed at random; with reuseport, as the kernel distributes them.
  RoundRobin,        ///< Connection i, counted from 0, goes to loop i mod N.
  LeastConnections,  ///< A loop with the fewest connections.
  SourceAddrHash,    ///< The same loop for every connection of one peer IP address, a proxy's own if `?proxy` is set;
                     ///< for unix sockets as RoundRobin.
};

/// Why `timeout` is called.
enum class Timeout {
  Idle,      ///< Options::idle_timeout has passed.
  Write,     ///< Options::write_timeout has passed.
  Deadline,  ///< The time set by Conn::expires_after() has come.
};

/// What `notice` tells of.
enum class Notice {
  AcceptFailed,     ///< accept(2) failed for want of descriptors or memory: the listener pauses.
  Rejected,         ///< A connection was refused by a limit or by `accepting`.
  HandshakeFailed,  ///< The TLS handshake or PROXY header of an accepted connection was refused, garbled or late.
  DatagramFailed,   ///< The system refused a datagram: an answer, or one of a dialed UDP socket.
  SlowCallback,     ///< A callback took longer than Events::slow_callback.
};

/// What `opened` may set for its connection.
struct Options {
  /// If greater than 0, turns on TCP keep-alive with this period, rounded up to whole seconds (tcp(7): TCP_KEEPIDLE and
  /// TCP_KEEPINTVL).
  std::chrono::nanoseconds tcp_keep_alive{0};
  /// If true, `in` and every copy of it are plain views of the loop's buffer, which the next read overwrites.
  bool reuse_input_buffer = false;
  /// If greater than 0, `timeout` is called with Timeout::Idle after so long without progress in either direction:
  /// nothing came from the peer, the kernel took no output, and the peer acknowledged none.
  std::chrono::nanoseconds idle_timeout{0};
  /// If greater than 0, `timeout` is called with Timeout::Write after output has waited, or has been unacknowledged,
  /// for so long without progress.
  std::chrono::nanoseconds write_timeout{0};
  /// `congested` is called when Conn::pending() is above this many bytes after the loop has tried to write them; with
  /// 0, whenever output has to wait.
  std::size_t high_water = 0;
  /// After `congested`, `drained` is called when Conn::pending() is back at this many bytes or below; with 0, when
  /// nothing is pending. More than high_water counts as high_water.
  std::size_t low_water = 0;
  /// If greater than 0, a send() that would bring Conn::pending() above this many bytes is refused, whole. The `out` of
  /// a callback is always accepted.
  std::size_t max_pending = 0;
  /// If true, input is read while output is pending. The program must then bound its output itself: by `congested`,
  /// Conn::pause() and max_pending. If false, a peer that does not read is not read either.
  bool read_while_pending = false;
  /// If true, the peer's end of stream calls `ended` and does not close the connection.
  bool half_open = false;
};

/// The callbacks and settings of a server. Every callback is optional.
///
/// All callbacks of one connection run on one loop, one at a time. Callbacks on different loops run concurrently, so
/// what they share needs a lock or an atomic. A callback that blocks stalls every connection on its loop. The `Conn&`
/// is valid during the call; a copy of it stays valid.
///
/// A served UDP socket only calls `data`, once per datagram. Non-empty `out` is sent back as one datagram;
/// Shutdown is the only action with an effect. Copy the Conn to send more later. A dialed UDP socket has the
/// callbacks of a connection: see Server::dial().
///
/// If `opened`, `data`, `timeout`, `congested`, `drained`, `ended` or a function passed to Conn::post() throws, its
/// connection is closed and `closed` gets the exception's message. What that call
/// added to `out` is dropped; everything sent earlier is still delivered, and so is what the call itself passed to
/// send(). Over UDP only that datagram's reply is lost. If any other callback throws, the server shuts down and serve()
/// rethrows the exception.
struct Events {
  /// The number of loops. 0 and 1 mean one loop; a negative number means one per CPU in the affinity mask
  /// (sched_getaffinity(2)).
  int num_loops = 0;
  /// How new connections are distributed over the loops.
  LoadBalance load_balance = LoadBalance::Random;
  /// How long a shutdown waits for unsent output to be sent. 0 or less means not at all.
  std::chrono::nanoseconds drain_timeout = std::chrono::seconds(1);

  /// Called once, when every address is being listened on, on the thread that called serve(). No other callback runs
  /// until it has returned. Shutdown makes serve() return at once.
  std::function<Action(const Server& server)> serving = nullptr;
  /// Called first for each connection, on its loop, once it has been accepted, dialed or adopted, and its PROXY header
  /// and TLS handshake are done. `out` is sent and `opts` are applied after it returns.
  std::function<Action(Conn& conn, Output& out, Options& opts)> opened = nullptr;
  /// Called last for each connection, on its loop, when it has closed. `err` is set unless one side closed it normally.
  /// Shutdown is the only action with an effect. During a shutdown it is called for every open connection. Data it
  /// sends to another connection is then delivered only if that connection's loop has not yet begun shutting down.
  std::function<Action(Conn& conn, const Error& err)> closed = nullptr;
  /// Called last for a connection, instead of `closed`, on its loop, when Detach has taken effect and its output has
  /// been sent. `rwc` is its socket. Shutdown is the only action with an effect.
  std::function<Action(Conn& conn, DetachedConn rwc)> detached = nullptr;
  /// Called once per batch of output from callbacks and send(), before any of it is written, on the loop that will
  /// write it. Not called for send() on a datagram's Conn, which writes at once.
  std::function<void()> pre_write = nullptr;
  /// Called on the connection's loop when input has arrived and, with empty `in`, after wake(). A view of `in` is valid
  /// until this callback returns, a copy of `in` for as long as it exists (but see Options::reuse_input_buffer). A
  /// handler may declare `in` as std::string_view.
  std::function<Action(Conn& conn, const Bytes& in, Output& out)> data = nullptr;
  /// Called on loop 0 right after `serving`, then `delay` after it returns. `delay` is 0 on entry; 0 or less means the
  /// next loop iteration. Shutdown is the only action with an effect.
  std::function<Action(std::chrono::nanoseconds& delay)> tick = nullptr;

  /// How long a closing connection may go on without progress, that is without the kernel taking output or the peer
  /// acknowledging some. Then it is aborted: `closed` gets std::errc::timed_out, or the error that it closes with
  /// anyway. Options::write_timeout counts instead if it is shorter. 0 or less means for ever.
  std::chrono::nanoseconds close_timeout = std::chrono::seconds(60);
  /// How long the peer of an accepted connection may take for what precedes `opened`: a PROXY header, a TLS handshake.
  /// Then the connection is reset, with a notice. 0 or less means for ever.
  std::chrono::nanoseconds handshake_timeout = std::chrono::seconds(10);
  /// If greater than 0, a callback that takes longer is reported to `notice`, and so is a function passed to post() or
  /// post_after(). Not `serving`, which runs before the loops do, and `notice` itself.
  std::chrono::nanoseconds slow_callback{0};
  /// If greater than 0, how many accepted connections may be open at once, on all loops together. Each counts from when
  /// it is accepted until `closed` or `detached` has returned. Further ones wait in the listener's backlog (listen(2)),
  /// and the next is accepted as soon as one of the others has ended; listeners where connections wait take turns.
  int max_connections = 0;
  /// If greater than 0, how many of them may come from one IPv4 address, or from one /64 of IPv6; behind a proxy, the
  /// address in the PROXY header counts. Further ones are reset, with Notice::Rejected and no other callback. Unix
  /// sockets are exempt.
  int max_per_ip = 0;
  /// Called for each connection that is accepted, before anything else, on any loop's thread. `addr_index` is the
  /// listener's place in Server::addrs(), `remote` the peer: the proxy itself where a PROXY header is to come. False
  /// resets the connection, with Notice::Rejected and no other callback. Do not block here: this delays every
  /// connection behind it.
  std::function<bool(int addr_index, const Addr& remote)> accepting = nullptr;
  /// Called once for each TLS handshake of an accepted connection, after `accepting` and before `opened`, on any loop's
  /// thread: returns the certificate and the rules for it. `server_name` is what the client asks for (RFC 6066), in
  /// lower case; empty if it asks for nothing. A context that refers to nothing refuses the client.
  std::function<TlsContext(int addr_index, std::string_view server_name)> tls = nullptr;
  /// Called on the connection's loop when a time has passed: see Options::idle_timeout, Options::write_timeout and
  /// Conn::expires_after(). Action::None restarts an idle or write timeout; a deadline does not repeat. Action::Close
  /// closes the connection, but aborts it after Timeout::Write: then `closed` gets std::errc::timed_out. If this is not
  /// set, the connection closes with std::errc::timed_out. Not called once the connection is closing.
  std::function<Action(Conn& conn, Timeout what, Output& out)> timeout = nullptr;
  /// Called on the connection's loop when more output is pending than Options::high_water, after the loop has tried to
  /// write it. Not called once the connection is closing.
  std::function<Action(Conn& conn)> congested = nullptr;
  /// Called on the connection's loop, after `congested`, when Options::low_water or less is pending. The two alternate.
  std::function<Action(Conn& conn, Output& out)> drained = nullptr;
  /// Called once on the connection's loop, if Options::half_open is set, when the peer has ended its side and all input
  /// was delivered.
  std::function<Action(Conn& conn, Output& out)> ended = nullptr;
  /// Called instead of `opened` for a connection of Server::dial() that could not be opened, on its loop. `err` names
  /// the call and the address: "dial tcp://127.0.0.1:1: connect: Connection refused". It is
  /// std::errc::operation_canceled after Conn::close(), Conn::abort(), or during a shutdown, timed_out after
  /// Dial::timeout, invalid_argument for an argument that cannot be used. No other callback is called for that
  /// connection. If this is not set, the failure is not reported.
  std::function<void(Conn& conn, const Error& err)> unreachable = nullptr;
  /// Called once, on loop 0, when a shutdown begins, unless `serving` has asked for it. What it sends to connections
  /// still leaves (with a drain_timeout of 0 it is tried once), and what it posts still runs.
  std::function<void(const Server& server)> stopping = nullptr;
  /// Reports what no other callback reports, on any loop's thread, at most once a second for each kind and loop. The
  /// message then says how many were left out.
  std::function<void(Notice what, const Error& err)> notice = nullptr;
};

}  // namespace evio
