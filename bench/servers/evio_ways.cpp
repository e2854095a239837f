// The ways to answer that are not the shortest one: --how names it.
#include <chrono>
#include <evio/evio.hpp>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "common.h"

namespace {

using evio::Action;
using evio::Bytes;
using evio::Conn;
using evio::Events;
using evio::Output;

// Belongs to the only loop.
std::vector<Conn> everybody;

void answer_by_send(Events& events, const Options& options) {
  if (options.idle_timeout > 0) {
    events.opened = [idle = std::chrono::seconds(options.idle_timeout)](Conn&, Output&, evio::Options& of) {
      of.idle_timeout = idle;
      return Action::None;
    };
  }
  events.data = [](Conn& conn, const Bytes& in, Output&) {
    conn.send(in);
    return Action::None;
  };
}

// To all connections, of which this is one.
void broadcast(Events& events, const Options&) {
  events.opened = [](Conn& conn, Output& out, evio::Options&) {
    everybody.push_back(conn);
    out = "!";
    return Action::None;
  };
  events.data = [](Conn&, const Bytes& in, Output&) {
    for (const Conn& conn : everybody) conn.send(in);
    return Action::None;
  };
}

void reuse_the_input_buffer(Events& events, const Options&) {
  events.opened = [](Conn&, Output&, evio::Options& options) {
    options.reuse_input_buffer = true;
    return Action::None;
  };
  events.data = [](Conn&, const Bytes& in, Output& out) {
    out = in;
    return Action::None;
  };
}

// A message may come in parts: what is left of one waits in the connection's context.
void feed_a_stream(Events& events, const Options&) {
  events.opened = [](Conn& conn, Output&, evio::Options&) {
    conn.set_context(evio::InputStream());
    return Action::None;
  };
  events.data = [](Conn& conn, const Bytes& in, Output& out) {
    constexpr std::size_t kMessage = 6;
    conn.context<evio::InputStream>()->feed(in, [&](const Bytes& all) -> std::size_t {
      if (all.size() < kMessage) return 0;
      out += all.substr(0, kMessage);
      return kMessage;
    });
    return Action::None;
  };
}

void answer_with_much(Events& events, const Options&) {
  events.data = [](Conn&, const Bytes&, Output& out) {
    static const std::string kText(8 << 20, 'x');
    out = kText;
    return Action::None;
  };
}

const std::map<std::string, void (*)(Events&, const Options&)> kWays = {{"send", answer_by_send},
                                                                        {"broadcast", broadcast},
                                                                        {"reuse", reuse_the_input_buffer},
                                                                        {"feed", feed_a_stream},
                                                                        {"large", answer_with_much}};

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  Events events;
  const auto way = kWays.find(options.how);
  if (way == kWays.end()) {
    std::cerr << "--how: send, broadcast, reuse, feed or large\n";
    return 2;
  }
  way->second(events, options);
  events.serving = [](const evio::Server& server) {
    announce(server.addrs().front().port());
    return Action::None;
  };
  if (auto error = evio::serve(events, "tcp4://127.0.0.1:" + std::to_string(options.port))) {
    std::cerr << error.message() << '\n';
    return 1;
  }
}
