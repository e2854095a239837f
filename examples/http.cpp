// Answers every HTTP request with 200, over TCP and optionally a unix socket.

#include <cstdlib>
#include <evio/evio.hpp>
#include <string_view>

#include "examples/flags.hpp"
#include "examples/http/service.hpp"
#include "examples/program.hpp"

namespace {

evio::Error run_http(int argc, char** argv) {
  examples::Service service{.name = "http", .port = 8080};
  http::Options options;
  examples::Flags flags("http");
  flags.add("unixsocket", service.unixsocket, "unix socket")
      .add("port", service.port, "server port")
      .add("aaaa", options.aaaa, "answer with 1,024 times 'a' instead of Hello World!")
      .add("noparse", options.noparse, "do not parse requests; NOPARSE=1 in the environment means the same")
      .add("header-timeout", options.header_timeout, "seconds for a request's head, and for each 64 KiB of its body")
      .add("write-timeout", options.write_timeout, "seconds for a client to read the answers that wait")
      .add("idle-timeout", options.idle_timeout, "seconds without a byte in either direction")
      .add("stdlib", service.stdlib, examples::kStdlibHelp)
      .add("loops", service.loops, "num loops")
      .parse(argc, argv);
  if (const char* noparse = std::getenv("NOPARSE"); noparse != nullptr && std::string_view(noparse) == "1") {
    options.noparse = true;
  }
  return examples::serve(http::events(options), service);
}

}  // namespace

int main(int argc, char** argv) { return examples::run(run_http, argc, argv); }
