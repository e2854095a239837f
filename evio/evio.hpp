#pragma once

/// @file
/// evio: an event-loop server library. This header is all a program needs.

#include <array>
#include <concepts>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "evio/addr.hpp"
#include "evio/bytes.hpp"
#include "evio/conn.hpp"
#include "evio/detached_conn.hpp"
#include "evio/dial.hpp"
#include "evio/error.hpp"
#include "evio/events.hpp"
#include "evio/input_stream.hpp"
#include "evio/output.hpp"
#include "evio/server.hpp"
#include "evio/stats.hpp"
#include "evio/timer.hpp"
#include "evio/tls.hpp"
#include "evio/version.hpp"

/// An event-loop server library.
namespace evio {

/// Serves every address until the server shuts down, and then returns no error.
///
/// An address is `scheme://address?options`.
/// - The scheme is tcp (the default), tcp4, tcp6, udp, udp4, udp6, tls, tls4, tls6 or unix. Without a 4 or 6, tcp, udp
///   and tls listen on both families. tls is TCP with TLS, and an Error if Events::tls is not set. A scheme that ends
///   in `-net` makes the whole call use poll(2) instead of epoll(7). The schemes fd and systemd name sockets that the
///   process was given: see below.
/// - The address is `:port` or `*:port` for all interfaces, `host:port`, or `[v6]:port`. Port 0, an empty port, and
///   `tcp://` alone mean any free port. A host name is resolved here, which may block, and the first address of each
///   family is served. For unix the address is a path, or an abstract name (unix(7)) if it begins with '@'.
/// - The option `reuseport=true` (or any value that begins with 1 to 9, t, T, y or Y) gives each loop a socket of its
///   own (SO_REUSEPORT, socket(7)). It is an Error for unix.
/// - The option `backlog=N` says how many connections may wait to be accepted (listen(2)), 1 or more. The default is as
///   many as the system allows. It is an Error for udp.
/// - The option `mode=0660`, an octal number up to 0777, sets the mode of a unix path's socket file, whatever the umask
///   is, before anyone can connect. It is an Error for anything but a unix path.
/// - The option `proxy=v1`, `v2` or `any` requires each connection to begin with a PROXY header of that version, in
///   which a proxy names its client: Conn::remote_addr() and Conn::local_addr() are the addresses in it. A connection
///   whose header is invalid, or incomplete after Events::handshake_timeout, is reset. It is an Error for udp.
///
/// An empty string is an Error.
///
/// `fd://3` is a socket that the process was given as descriptor 3: a listening TCP or unix stream socket, or a bound
/// UDP socket. `systemd://` is all sockets that a service manager has passed to this process
/// (sd_listen_fds(3)), `systemd://NAME` those of that name; each becomes an entry of Server::addrs(), and
/// Conn::addr_index() is the index there. The environment variables stay as they are. Such sockets belong to serve()
/// from the call on, are made non-blocking and close-on-exec, and are closed with the listeners, even if serve() fails.
/// Another process that has the same socket can go on listening, so the file of a unix socket is not removed. Of the
/// options above they take only `proxy`; the others are Errors.
///
/// A unix path is taken over only if no process has the socket at that path open. A server locks the path with ".lock"
/// appended while it starts, so that of several servers starting at once exactly one serves; the others get an Error.
/// The path is resolved here and removed at the end, even if the working directory has changed since.
///
/// Loop 0 runs on the calling thread. The others run on threads of their own, which are joined before serve() returns.
/// SIGPIPE is neither raised nor blocked. The events are copied or moved in; with several loops one callback is called
/// on several threads. serve() may be called several times at once, even within a callback.
///
/// Returns an Error that names the address, and leaves nothing behind, if an address is invalid or cannot be listened
/// on, or if there is none. Returns an Error if a loop cannot be set up or its thread cannot be started: each loop
/// takes a thread and two descriptors. No descriptor that serve() makes is 0, 1 or 2, even if a standard stream is
/// closed. After everything has been closed, rethrows the first exception that has left a callback, or a function
/// passed to Server::post(), except those that only close their connection: see Events.
[[nodiscard]] Error serve(Events events, std::span<const std::string> addrs);

/// The same for addresses passed one by one: strings, views or literals.
template <std::convertible_to<std::string_view>... A>
[[nodiscard]] Error serve(Events events, const A&... addrs) {
  const std::array<std::string, sizeof...(A)> list{std::string(std::string_view(addrs))...};
  return serve(std::move(events), std::span<const std::string>(list));
}

/// serve() without a listener, for programs that only dial: see Server::dial(). It uses epoll(7), and returns when the
/// server shuts down.
[[nodiscard]] Error run(Events events);

}  // namespace evio
