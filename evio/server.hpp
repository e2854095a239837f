#pragma once

#include <chrono>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "evio/addr.hpp"
#include "evio/conn.hpp"
#include "evio/detached_conn.hpp"
#include "evio/detail/context.hpp"
#include "evio/detail/task.hpp"
#include "evio/dial.hpp"
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
  /// Stops listening, and shuts the server down once no connection is left or `at_most` has passed. The loops close the
  /// listening sockets, UDP sockets too, without delay, and remove the paths of unix sockets; but see dup_listeners().
  /// Connections go on until they end on their own, that is, until `closed` or `detached` has returned. Dials in
  /// progress, and connections that dial() and adopt() make in the meantime, count too. If it is called several times,
  /// the earliest deadline applies; with 0 or less, drain() is shutdown(). It has no effect once the server is shutting
  /// down. Never blocks; async-signal-safe, like shutdown().
  void drain(std::chrono::nanoseconds at_most) const noexcept;
  /// True once drain() has begun a drain, and still true after the server has shut down.
  bool draining() const noexcept;
  /// Duplicates the listening sockets, for a process that is to serve them as `fd://` addresses. The duplicates are in
  /// the order of addrs() and close-on-exec; the caller must close them. Each address has one; with reuseport
  /// it has one for each loop, and a host name has one for each family, side by side.
  ///
  /// From then on this server closes its sockets without shutting them down, and leaves the paths of unix sockets in
  /// place: whoever has a duplicate accepts the connections that wait. If nobody is to listen any more, close all
  /// duplicates before you call drain().
  ///
  /// Returns nothing if the server no longer listens, or, with errno set, if a duplicate cannot be made.
  std::vector<int> dup_listeners() const;
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
    return post_task_after(loop, delay, internal::make_timed<internal::LoopTaskOf, internal::LoopTask>(std::move(f)));
  }

  /// Connects to `addr`: tcp, tcp4, tcp6, tls, tls4, tls6, udp, udp4, udp6 or unix, written as for serve(), but with a
  /// port from 1 to 65535 and without options. An empty host is this machine. Returns at once; then, never within
  /// this call, Events::opened is called on the connection's loop, and the life of any connection begins; or else
  /// Events::unreachable is called. Calls of send(), post() and close_write() before that wait, and take effect
  /// after what `opened` adds. Conn::close() and Conn::abort() cancel the attempt and drop them. Conn::addr_index()
  /// is -1, and Options::read_while_pending is true when `opened` is called.
  ///
  /// Names are looked up on threads of the library's own (getaddrinfo(3)): no loop waits for one. The addresses of a
  /// name are tried as RFC 8305 says: alternating between the families, the next one after a failure or 250 ms.
  ///
  /// With tls, tls4 or tls6, Events::opened is called once the TLS handshake is done. Dial::tls must be set, and says
  /// how the server's certificate and name are verified. The name is Dial::server_name or else the address's host. A
  /// handshake that fails makes the address unreachable: permission_denied if the server could not be verified.
  ///
  /// With udp, udp4 or udp6 it is a socket connected to the first address that routing allows. It is a connection like
  /// any other, except that each datagram received, even an empty one, is one call of Events::data, and that what a
  /// callback adds to `out` is sent as one datagram, and each send() as another. A datagram that the system refuses,
  /// because it is too long or memory is short, is lost (Notice::DatagramFailed). An ICMP error closes the connection.
  /// The flow options have no effect, and Action::Detach acts as Close.
  ///
  /// Returns a Conn of nothing if this refers to no server, or its serve() has returned, or, in a shutdown, the loop
  /// has ended already, or there is no memory.
  Conn dial(std::string_view addr, Dial how = {}) const { return dial_with(addr, std::move(how), nullptr); }
  /// The same; the connection has this context from the beginning.
  template <class T>
  Conn dial(std::string_view addr, T context, Dial how = {}) const {
    return dial_with(addr, std::move(how),
                     std::make_unique<internal::ContextOf<std::remove_cv_t<T>>>(std::move(context)));
  }
  /// Takes in a connected stream socket, which becomes the server's in any case: `opened` is called for it on loop
  /// `loop`, or where dial() would put it. Conn::addr_index() is -1. Returns a Conn of nothing, and closes the socket,
  /// if it is not a connected stream socket, if there is no such loop, or if the server shuts down.
  Conn adopt(DetachedConn socket, int loop = -1) const { return adopt_with(std::move(socket), nullptr, loop); }
  /// The same; the connection has this context from the beginning.
  template <class T>
  Conn adopt(DetachedConn socket, T context, int loop = -1) const {
    return adopt_with(std::move(socket), std::make_unique<internal::ContextOf<std::remove_cv_t<T>>>(std::move(context)),
                      loop);
  }

 private:
  friend class internal::ServerAccess;
  Conn dial_with(std::string_view addr, Dial how, std::unique_ptr<internal::Context> context) const;
  Conn adopt_with(DetachedConn socket, std::unique_ptr<internal::Context> context, int loop) const;
  bool post_task(int loop, std::unique_ptr<internal::LoopTask> task) const;
  Timer post_task_after(int loop, std::chrono::nanoseconds delay, internal::TimedPtr<internal::LoopTask> task) const;
  explicit Server(std::shared_ptr<internal::ServerState> state) noexcept : state_(std::move(state)) {}

  std::shared_ptr<internal::ServerState> state_;
};

}  // namespace evio
