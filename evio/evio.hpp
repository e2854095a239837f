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
/// An address is `scheme://address?options`: tcp (the default) tcp4 tcp6 udp udp4 udp6 unix, `:port`, `host:port` or
/// `[v6]:port`, a path for unix. tcp and udp without a 4 or 6 listen on both families. A scheme that ends in `-net`
/// serves the whole call with poll(2) in place of epoll(7). `?reuseport=true` gives each loop a socket of its own
/// (SO_REUSEPORT, socket(7)).
///
/// Loop 0 runs on the calling thread, the others on threads of their own, which are joined before serve() returns.
/// While it runs, SIGPIPE is blocked on these threads. An Error that names the address, with nothing left behind, when
/// one cannot be listened on. Throws what `serving`, `closed`, `detached`, `pre_write` or `tick` threw.
[[nodiscard]] Error serve(Events events, std::span<const std::string> addrs);

template <std::convertible_to<std::string_view>... A>
[[nodiscard]] Error serve(Events events, const A&... addrs) {
  const std::array<std::string, sizeof...(A)> list{std::string(std::string_view(addrs))...};
  return serve(std::move(events), std::span<const std::string>(list));
}

}  // namespace evio
