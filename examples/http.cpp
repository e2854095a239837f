// Answers every HTTP request with 200, over TCP and, if asked to, a unix socket.

#include <cstdlib>
#include <evio/evio.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "examples/flags.hpp"
#include "examples/http/service.hpp"
#include "examples/program.hpp"

namespace {

evio::Error run_http(int argc, char** argv) {
  int port = 8080;
  int loops = 0;
  std::string unixsocket;
  bool stdlib = false;
  http::Options options;
  examples::Flags flags("http");
  flags.add("unixsocket", unixsocket, "unix socket")
      .add("port", port, "server port")
      .add("aaaa", options.aaaa, "aaaaa....")
      .add("noparse", options.noparse, "do not parse requests")
      .add("stdlib", stdlib, "use stdlib")
      .add("loops", loops, "num loops")
      .parse(argc, argv);
  if (const char* noparse = std::getenv("NOPARSE"); noparse != nullptr && std::string_view(noparse) == "1") {
    options.noparse = true;
  }

  evio::Events events = http::events(options);
  events.num_loops = loops;
  events.serving = [&](const evio::Server& server) {
    examples::shut_down_on_signals(server);
    examples::log("http server started on port " + std::to_string(server.addrs()[0].port()) +
                  " (loops: " + std::to_string(server.num_loops()) + ")");
    if (!unixsocket.empty()) examples::log("http server started at " + unixsocket);
    if (stdlib) examples::log("stdlib");
    return evio::Action::None;
  };

  const std::string suffix = stdlib ? "-net" : "";
  std::vector<std::string> addrs{"tcp" + suffix + "://:" + std::to_string(port)};
  if (!unixsocket.empty()) addrs.push_back("unix" + suffix + "://" + unixsocket);
  return evio::serve(std::move(events), addrs);
}

}  // namespace

int main(int argc, char** argv) { return examples::run(run_http, argc, argv); }
