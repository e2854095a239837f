#include "internal/server/callback_watch.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <utility>

#include "internal/loop/endpoint.hpp"
#include "internal/server/server_state.hpp"

namespace evio::internal {
namespace {

/// What is put around a callback. It goes with the Events, before the server does.
struct Watch {
  ServerState& server;
  std::chrono::nanoseconds most;

  template <class Result, class... Rest>
  void around(std::function<Result(Conn&, Rest...)>& callback, const char* name) const {
    if (!callback) return;
    callback = [inner = std::move(callback), name, *this](Conn& conn, Rest... rest) -> Result {
      const Conn about = conn;  // the callback may assign to its own
      const CallTimer timer(server, about.loop_index(), name, most,
                            [&] { return EndpointAccess::endpoint(about)->describe(); });
      return inner(conn, std::forward<Rest>(rest)...);
    };
  }

  // One that is about no connection.
  template <class Result, class... Args>
  void around(std::function<Result(Args...)>& callback, const char* name) const {
    if (!callback) return;
    callback = [inner = std::move(callback), name, *this](Args... args) -> Result {
      const int loop = server.loop_here();
      const CallTimer timer(server, loop, name, most, [&] { return words_for(loop, args...); });
      return inner(std::forward<Args>(args)...);
    };
  }

 private:
  template <class... Args>
  static std::string words_for(int loop, const Args&...) {
    return "loop " + std::to_string(loop);
  }
  static std::string words_for(int, int, std::string_view server_name) { return '"' + std::string(server_name) + '"'; }
  static std::string words_for(int, int, const Addr& remote) { return remote.network() + ' ' + remote.to_string(); }
};

}  // namespace

void watch_callbacks(Events& events, ServerState& server) {
  if (events.slow_callback.count() <= 0) return;
  const Watch watch{server, events.slow_callback};
  watch.around(events.opened, "opened");
  watch.around(events.closed, "closed");
  watch.around(events.detached, "detached");
  watch.around(events.data, "data");
  watch.around(events.timeout, "timeout");
  watch.around(events.congested, "congested");
  watch.around(events.drained, "drained");
  watch.around(events.ended, "ended");
  watch.around(events.unreachable, "unreachable");
  watch.around(events.pre_write, "pre_write");
  watch.around(events.tick, "tick");
  watch.around(events.stopping, "stopping");
  watch.around(events.accepting, "accepting");
  watch.around(events.tls, "tls");
}

}  // namespace evio::internal
