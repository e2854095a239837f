// The load generator: verifies every byte that comes back and prints one line of what it measured.
#include <cxxopts.hpp>
#include <iostream>
#include <map>
#include <string>

#include "options.hpp"
#include "sockets.hpp"

namespace {

cxxopts::Options describe(load::Options& to) {
  cxxopts::Options options("bench-load", "Loads an echo server on the loopback and checks every byte that comes back.");
  options.positional_help("streams|beside|connects|datagrams|lockstep|idle|slow|flood");
  auto add = options.add_options();
  add("mode", "what to do", cxxopts::value<std::string>());
  add("port", "where the server listens", cxxopts::value(to.port));
  add("pid", "the server, to read its CPU time and memory; lockstep: to end it", cxxopts::value(to.pid));
  add("connections", "how many", cxxopts::value(to.connections));
  add("active", "how many of them carry messages (0: all)", cxxopts::value(to.active));
  add("threads", "how many threads share the connections", cxxopts::value(to.threads));
  add("pipeline", "messages in flight on each connection", cxxopts::value(to.pipeline));
  add("size", "bytes of a message", cxxopts::value(to.size));
  add("warmup", "seconds before the measurement", cxxopts::value(to.warmup));
  add("seconds", "seconds of the measurement", cxxopts::value(to.seconds));
  add("messages", "lockstep: how many", cxxopts::value(to.messages));
  add("batch", "lockstep: messages in flight", cxxopts::value(to.batch));
  add("replies", "lockstep: how often each message comes back", cxxopts::value(to.replies));
  add("broadcast", "lockstep: every message comes back on all connections", cxxopts::value(to.broadcast));
  add("fresh", "lockstep: every message has a connection of its own", cxxopts::value(to.fresh));
  add("udp", "lockstep: over UDP", cxxopts::value(to.udp));
  add("tls", "streams, beside, connects, idle: over TLS", cxxopts::value(to.tls));
  add("resume", "connects: with the session of an earlier connection", cxxopts::value(to.resume));
  add("base", "idle: connections before the first reading of memory", cxxopts::value(to.base));
  add("burst-connections", "idle: how many then carry a burst", cxxopts::value(to.burst_connections));
  add("burst", "idle: bytes of a burst; slow: of an answer", cxxopts::value(to.burst));
  add("help", "this text");
  options.parse_positional({"mode"});
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, int (*)(const load::Options&)> modes = {
      {"streams", load::run_streams},     {"beside", load::run_beside},     {"connects", load::run_connects},
      {"datagrams", load::run_datagrams}, {"lockstep", load::run_lockstep}, {"idle", load::run_idle},
      {"slow", load::run_slow},           {"flood", load::run_flood}};
  load::Options options;
  cxxopts::Options description = describe(options);
  try {
    const auto given = description.parse(argc, argv);
    const auto mode = given.count("mode") != 0 ? modes.find(given["mode"].as<std::string>()) : modes.end();
    if (mode == modes.end() || given.count("help") != 0) {
      std::cerr << description.help();
      return 2;
    }
    load::raise_descriptor_limit();
    return mode->second(options);
  } catch (const cxxopts::exceptions::exception& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
}
