// A relay for TCP and TLS: it connects each client to one address and passes on what either side sends. Either side may
// end its half. A side that sends faster than the other reads is paused, so little is buffered.

#include <atomic>
#include <chrono>
#include <csignal>
#include <evio/evio.hpp>
#include <string>

#include "examples/flags.hpp"
#include "examples/program.hpp"
#include "examples/tls_flags.hpp"

namespace {

using evio::Action;
using evio::Conn;

constexpr std::size_t kMost = 256 * 1024;  // that waits for one side

std::atomic<bool> stats_wanted{false};

// The other side. Its context is this one.
const Conn& other(const Conn& conn) { return *conn.context<Conn>(); }

void log_stats(const evio::Stats& stats) {
  examples::log("proxy: " + std::to_string(stats.accepted) + " accepted, " + std::to_string(stats.dialed) +
                " dialed, " + std::to_string(stats.unreachable) + " unreachable, " + std::to_string(stats.connections) +
                " open, " + std::to_string(stats.bytes_read) + " bytes in, " + std::to_string(stats.bytes_written) +
                " out, " + std::to_string(stats.pending) + " waiting");
}

evio::Events events_of(const std::string& to, const evio::Dial& how, std::chrono::seconds idle) {
  evio::Events events;
  events.opened = [to, how, idle](Conn& conn, evio::Output&, evio::Options& opts) {
    opts.half_open = opts.read_while_pending = true;
    opts.high_water = kMost;
    opts.low_water = kMost / 4;
    opts.idle_timeout = idle;
    if (conn.dialed()) {
      other(conn).resume();
    } else {
      conn.pause();  // until the other side is there
      conn.set_context(conn.server().dial(to, conn, how));
    }
    return Action::None;
  };
  events.data = [](Conn& conn, const evio::Bytes& in, evio::Output&) { return other(conn).send(in), Action::None; };
  events.congested = [](Conn& conn) { return other(conn).pause(), Action::None; };
  events.drained = [](Conn& conn, evio::Output&) { return other(conn).resume(), Action::None; };
  events.ended = [](Conn& conn, evio::Output&) { return other(conn).close_write(), Action::None; };
  events.closed = [](Conn& conn, const evio::Error& err) {
    err ? other(conn).abort() : other(conn).close();  // an error is passed on as a reset
    return Action::None;
  };
  events.unreachable = [](Conn& conn, const evio::Error& err) {
    examples::log(err.message());
    other(conn).abort();
  };
  return events;
}

evio::Error run_proxy(int argc, char** argv) {
  std::string listen = "tcp://:8000";
  std::string to;
  evio::TlsFiles tls, dial_tls;
  int loops = 0;
  int idle = 600;
  examples::Flags flags("proxy");
  examples::add_tls_flags(flags, tls);
  flags.add("listen", listen, "address to listen on; with -tls-cert tls://:port")
      .add("to", to, "address to connect to: tcp://host:port, tls://host:port or unix://path")
      .add("tls-ca", dial_tls.ca, "PEM file of the authorities to verify it with; if empty, the system's")
      .add("loops", loops, "num loops")
      .add("idle", idle, "seconds without a byte in either direction, after which both sides are reset; 0: never")
      .parse(argc, argv);
  evio::Events events = events_of(to, examples::dial_of(to, dial_tls), std::chrono::seconds(idle));
  if (examples::serve_tls(events, tls)) examples::require_tls(listen);
  events.num_loops = loops;
  evio::Server server;
  events.serving = [&](const evio::Server& running) {
    server = running;
    examples::shut_down_on_signals(running);
    std::signal(SIGUSR1, [](int) { stats_wanted = true; });
    examples::log("proxy server started on port " + std::to_string(running.addrs()[0].port()) +
                  " (loops: " + std::to_string(running.num_loops()) + ")");
    return Action::None;
  };
  events.tick = [&](std::chrono::nanoseconds& delay) {
    if (stats_wanted.exchange(false)) log_stats(server.stats());
    delay = std::chrono::milliseconds(200);
    return Action::None;
  };
  return evio::serve(events, listen);
}

}  // namespace

int main(int argc, char** argv) { return examples::run(run_proxy, argc, argv); }
