#pragma once

/// evio: an event-loop server library. This header is all a program needs.

#include <array>
#include <concepts>
#include <span>
#include <string>
#include <string_view>

#include "evio/addr.hpp"
#include "evio/bytes.hpp"
#include "evio/conn.hpp"
#include "evio/detached_conn.hpp"
#include "evio/error.hpp"
#include "evio/events.hpp"
#include "evio/input_stream.hpp"
#include "evio/output.hpp"
#include "evio/server.hpp"

namespace evio {

/// Serves every address until Shutdown; returns no error then.
///
/// An address is `scheme://address?options`: tcp (the default) tcp4 tcp6 udp udp4 udp6 unix; `:port` or
/// `*:port`, which are every address, `host:port` or `[v6]:port`, where port 0, an empty one and `tcp://` alone are any
/// free port; a path for unix, an abstract name (unix(7)) when it begins with '@'. An empty string is an Error. tcp and
/// udp without a 4 or 6 listen on both families; a host name is looked up here, waiting for the answer, and the first
/// address of each family is served. A scheme that ends in `-net` serves the whole call with poll(2) in place of
/// epoll(7). `?reuseport=true` (1 to 9, t, T, y and Y are true) gives each loop a socket of its own (SO_REUSEPORT,
/// socket(7)); it is an Error for unix.
///
/// A unix path is taken over only from a socket that no process has any more. While a server starts on it there is a
/// lock, the path with ".lock" behind it: of several that start at once one serves, the others get an Error. The path
/// is fixed here: it is removed at the end whatever the working directory is by then.
///
/// Loop 0 runs on the calling thread, the others on threads of their own, which are joined before serve() returns.
/// While it runs, SIGPIPE is blocked on these threads. The events are copied or moved in: with several loops one
/// callback is called on several threads. Several calls may run at once, also within a callback.
///
/// Returns an Error that names the address, with nothing left behind, when one cannot be understood or listened on, or
/// when there is none; and one when a loop cannot be set up or its thread not be started: a loop is a thread and two
/// descriptors. No descriptor is 0, 1 or 2, even when a standard stream is closed. Throws what `serving`, `closed`,
/// `detached`, `pre_write` or `tick` threw, after everything is closed.
[[nodiscard]] Error serve(Events events, std::span<const std::string> addrs);

template <std::convertible_to<std::string_view>... A>
[[nodiscard]] Error serve(Events events, const A&... addrs) {
  const std::array<std::string, sizeof...(A)> list{std::string(std::string_view(addrs))...};
  return serve(std::move(events), std::span<const std::string>(list));
}

}  // namespace evio
