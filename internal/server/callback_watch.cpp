#include "internal/server/callback_watch.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <utility>

#include "internal/loop/server_control.hpp"

namespace evio::internal {
namespace {

// What a callback is about, the loop of it, and the words for it. A callback may assign to its handle, or move it away.
Conn kept(const Conn& conn) { return conn; }
int loop_of(const Conn& conn) noexcept { return conn.loop_index(); }
std::string words_for(const Conn& conn) {
  const Addr remote = conn.remote_addr();
  return remote.network() + ' ' + conn.local_addr().to_string() + "->" + remote.to_string();
}

// Callbacks that are about no connection run on loop 0.
template <class Other>
const Other& kept(const Other& other) noexcept {
  return other;
}
template <class Other>
int loop_of(const Other&) noexcept {
  return 0;
}
template <class Other>
std::string words_for(const Other&) {
  return "loop 0";
}

template <class Result, class About, class... Rest>
void watch(std::function<Result(About, Rest...)>& callback, const char* name, std::chrono::nanoseconds most,
           ServerControl& server) {
  if (!callback) return;
  callback = [inner = std::move(callback), name, most, &server](About about, Rest... rest) -> Result {
    const auto& same = kept(about);
    const CallTimer timer(server, loop_of(same), name, most, [&] { return words_for(same); });
    return inner(about, std::forward<Rest>(rest)...);
  };
}

}  // namespace

void watch_callbacks(Events& events, ServerControl& server) {
  const std::chrono::nanoseconds most = events.slow_callback;
  if (most.count() <= 0) return;
  watch(events.opened, "opened", most, server);
  watch(events.closed, "closed", most, server);
  watch(events.detached, "detached", most, server);
  watch(events.data, "data", most, server);
  watch(events.tick, "tick", most, server);
  watch(events.timeout, "timeout", most, server);
  watch(events.congested, "congested", most, server);
  watch(events.drained, "drained", most, server);
  watch(events.ended, "ended", most, server);
}

}  // namespace evio::internal
