// Sends back what it receives, over TCP, TLS or UDP.

#include <algorithm>
#include <chrono>
#include <evio/evio.hpp>
#include <sstream>
#include <string_view>
#include <utility>

#include "examples/flags.hpp"
#include "examples/program.hpp"
#include "examples/tls_flags.hpp"

namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

// Kept out of the handler, which rarely logs.
[[gnu::cold]] void log_packet(std::string_view packet) { examples::log(trim(packet)); }

void log_stats(const evio::Server& server) {
  const evio::Stats stats = server.stats();
  std::ostringstream line;
  line << "connections " << stats.connections << ", accepted " << stats.accepted << ", closed " << stats.closed;
  line << ", aborted " << stats.aborted << ", bytes in " << stats.bytes_read << ", out " << stats.bytes_written;
  line << ", pending " << stats.pending << ", reads " << stats.reads << ", writes " << stats.writes;
  line << ", datagrams in " << stats.datagrams_read << ", out " << stats.datagrams_written;
  line << ", failed " << stats.datagrams_failed << ", turns " << stats.turns;
  examples::log(line.str());
}

// Not a tick, which would be there without --stats, too.
void log_stats_each_second(const evio::Server& server) {
  server.post_after(0, std::chrono::seconds(1), [server] {
    log_stats(server);
    log_stats_each_second(server);
    return evio::Action::None;
  });
}

evio::Error run_echo(int argc, char** argv) {
  examples::Service service{.name = "echo", .port = 5000};
  bool udp = false;
  bool trace = false;
  bool stats = false;
  evio::TlsFiles tls;
  examples::Flags flags("echo");
  examples::add_tls_flags(flags, tls);
  flags.add("port", service.port, "server port")
      .add("udp", udp, "listen on udp")
      .add("reuseport", service.reuseport, "reuseport (SO_REUSEPORT)")
      .add("trace", trace, "print packets to console")
      .add("stats", stats, "print figures each second and at the end")
      .add("loops", service.loops, "num loops")
      .add("stdlib", service.stdlib, examples::kStdlibHelp)
      .parse(argc, argv);
  if (udp && !tls.certificate.empty()) flags.fail("-udp and -tls-cert exclude each other");
  if (udp) service.network = "udp";

  evio::Events events;
  if (examples::serve_tls(events, tls)) service.network = "tls";
  events.data = [trace](evio::Conn&, const evio::Bytes& in, evio::Output& out) {
    if (trace) log_packet(in);
    out = in;
    return evio::Action::None;
  };
  evio::Server running;
  events.serving = [&](const evio::Server& server) {
    running = server;
    if (stats) log_stats_each_second(server);
    return evio::Action::None;
  };
  const evio::Error err = examples::serve(std::move(events), service);
  if (stats && !err) log_stats(running);
  return err;
}

}  // namespace

int main(int argc, char** argv) { return examples::run(run_echo, argc, argv); }
