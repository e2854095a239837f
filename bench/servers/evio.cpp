// This library, as the README writes a server.
#include <chrono>
#include <evio/evio.hpp>
#include <iostream>
#include <string>
#include <string_view>

#include "common.h"

namespace {

// Several loops take the connections of one listener by turns, or as they are laden, or have a listener each.
bool has_listener_each(const Options& options, evio::Events& events) {
  const std::string_view how = options.how;
  if (how == "roundrobin") events.load_balance = evio::LoadBalance::RoundRobin;
  if (how == "least") events.load_balance = evio::LoadBalance::LeastConnections;
  return options.loops > 1 && how.empty();
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  evio::Events events;
  events.num_loops = options.loops;
  events.serving = [](const evio::Server& server) {
    announce(server.addrs().front().port());
    return evio::Action::None;
  };
  if (options.idle_timeout > 0) {
    events.opened = [idle = std::chrono::seconds(options.idle_timeout)](evio::Conn&, evio::Output&, evio::Options& of) {
      of.idle_timeout = idle;
      return evio::Action::None;
    };
  }
  events.data = [](evio::Conn&, const evio::Bytes& in, evio::Output& out) {
#ifdef ANSWER_SIZE
    const Reply reply = reply_to(in.view().data(), in.size());
    out.append(std::string_view(reply.bytes, reply.size));
#else
    out = in;
#endif
    return evio::Action::None;
  };
  const std::string address = std::string(options.udp != 0 ? "udp4" : "tcp4") +
                              "://127.0.0.1:" + std::to_string(options.port) +
                              (has_listener_each(options, events) ? "?reuseport=true" : "");
  if (auto error = evio::serve(events, address)) {
    std::cerr << error.message() << '\n';
    return 1;
  }
}
