// Sends back what it receives, over TCP or UDP.

#include <evio/evio.hpp>
#include <string>
#include <string_view>

#include "examples/flags.hpp"
#include "examples/program.hpp"

namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

evio::Error run_echo(int argc, char** argv) {
  int port = 5000;
  int loops = 0;
  bool udp = false;
  bool reuseport = false;
  bool trace = false;
  bool stdlib = false;
  examples::Flags flags("echo");
  flags.add("port", port, "server port")
      .add("udp", udp, "listen on udp")
      .add("reuseport", reuseport, "reuseport (SO_REUSEPORT)")
      .add("trace", trace, "print packets to console")
      .add("loops", loops, "num loops")
      .add("stdlib", stdlib, "use stdlib")
      .parse(argc, argv);

  evio::Events events;
  events.num_loops = loops;
  events.serving = [&](const evio::Server& server) {
    examples::shut_down_on_signals(server);
    examples::log("echo server started on port " + std::to_string(server.addrs()[0].port()) +
                  " (loops: " + std::to_string(server.num_loops()) + ")");
    if (reuseport) examples::log("reuseport");
    if (stdlib) examples::log("stdlib");
    return evio::Action::None;
  };
  events.data = [trace](evio::Conn&, const evio::Bytes& in, evio::Output& out) {
    if (trace) examples::log(trim(in));
    out = in;
    return evio::Action::None;
  };

  std::string address = udp ? "udp" : "tcp";
  if (stdlib) address += "-net";
  address += "://:" + std::to_string(port);
  if (reuseport) address += "?reuseport=true";
  return evio::serve(std::move(events), address);
}

}  // namespace

int main(int argc, char** argv) { return examples::run(run_echo, argc, argv); }
