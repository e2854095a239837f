// Sends back what it receives, over TCP or UDP.

#include <algorithm>
#include <evio/evio.hpp>
#include <string_view>
#include <utility>

#include "examples/flags.hpp"
#include "examples/program.hpp"

namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

// Kept out of the handler, which rarely logs.
[[gnu::cold]] void log_packet(std::string_view packet) { examples::log(trim(packet)); }

evio::Error run_echo(int argc, char** argv) {
  examples::Service service{.name = "echo", .port = 5000};
  bool udp = false;
  bool trace = false;
  examples::Flags flags("echo");
  flags.add("port", service.port, "server port")
      .add("udp", udp, "listen on udp")
      .add("reuseport", service.reuseport, "reuseport (SO_REUSEPORT)")
      .add("trace", trace, "print packets to console")
      .add("loops", service.loops, "num loops")
      .add("stdlib", service.stdlib, examples::kStdlibHelp)
      .parse(argc, argv);
  if (udp) service.network = "udp";

  evio::Events events;
  events.data = [trace](evio::Conn&, const evio::Bytes& in, evio::Output& out) {
    if (trace) log_packet(in);
    out = in;
    return evio::Action::None;
  };
  return examples::serve(std::move(events), service);
}

}  // namespace

int main(int argc, char** argv) { return examples::run(run_echo, argc, argv); }
