// This library with TLS, as the README writes it.
#include <evio/evio.hpp>
#include <iostream>
#include <string>
#include <string_view>

#include "common.h"

int main(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  evio::Error err;
  const evio::TlsContext context = evio::TlsContext::load({.certificate = options.cert, .key = options.key}, err);
  if (err) {
    std::cerr << err.message() << '\n';
    return 1;
  }
  evio::Events events;
  events.num_loops = options.loops;
  events.tls = [context](int, std::string_view) { return context; };
  events.serving = [](const evio::Server& server) {
    announce(server.addrs().front().port());
    return evio::Action::None;
  };
  events.data = [](evio::Conn&, const evio::Bytes& in, evio::Output& out) {
    out = in;
    return evio::Action::None;
  };
  const std::string address = "tls4://127.0.0.1:" + std::to_string(options.port);
  if (const auto error = evio::serve(events, address + (options.loops > 1 ? "?reuseport=true" : ""))) {
    std::cerr << error.message() << '\n';
    return 1;
  }
}
