// Answers every HTTP request with 200, over TCP or TLS and optionally a unix socket.

#include <cstdlib>
#include <evio/evio.hpp>
#include <string_view>
#include <utility>

#include "examples/flags.hpp"
#include "examples/http/service.hpp"
#include "examples/program.hpp"
#include "examples/tls_flags.hpp"

namespace {

evio::Error run_http(int argc, char** argv) {
  examples::Service service{.name = "http", .port = 8080};
  http::Options options;
  evio::TlsFiles tls{.alpn = {"http/1.1"}};
  examples::Flags flags("http");
  examples::add_tls_flags(flags, tls);
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
  evio::Events events = http::events(options);
  if (examples::serve_tls(events, tls)) service.network = "tls";
  return examples::serve(std::move(events), service);
}

}  // namespace

int main(int argc, char** argv) { return examples::run(run_http, argc, argv); }
