// A small redis: PING ECHO SET GET DEL FLUSHDB WAKE QUIT SHUTDOWN, over TCP and a unix socket.

#include <evio/evio.hpp>
#include <map>
#include <string>
#include <vector>

#include "examples/flags.hpp"
#include "examples/program.hpp"
#include "examples/redis/service.hpp"

namespace {

evio::Error run_redis(int argc, char** argv) {
  int port = 6380;
  int loops = 0;
  std::string unixsocket = "socket";
  std::string balance = "random";
  bool stdlib = false;
  examples::Flags flags("redis");
  flags.add("port", port, "server port")
      .add("loops", loops, "num loops")
      .add("unixsocket", unixsocket, "unix socket")
      .add("balance", balance, "random, round-robin, least-connections")
      .add("stdlib", stdlib, "use stdlib")
      .parse(argc, argv);
  const std::map<std::string, evio::LoadBalance> balances{
      {"random", evio::LoadBalance::Random},
      {"round-robin", evio::LoadBalance::RoundRobin},
      {"least-connections", evio::LoadBalance::LeastConnections},
  };
  if (!balances.contains(balance)) flags.fail("invalid -balance flag: '" + balance + "'");

  evio::Events events = redis::events();
  events.num_loops = loops;
  events.load_balance = balances.at(balance);
  events.serving = [&](const evio::Server& server) {
    examples::shut_down_on_signals(server);
    const std::string suffix = " (loops: " + std::to_string(server.num_loops()) + ")";
    examples::log("redis server started on port " + std::to_string(server.addrs()[0].port()) + suffix);
    if (!unixsocket.empty()) examples::log("redis server started at " + unixsocket + suffix);
    if (stdlib) examples::log("stdlib");
    return evio::Action::None;
  };

  const std::string suffix = stdlib ? "-net" : "";
  std::vector<std::string> addrs{"tcp" + suffix + "://:" + std::to_string(port)};
  if (!unixsocket.empty()) addrs.push_back("unix" + suffix + "://" + unixsocket);
  return evio::serve(std::move(events), addrs);
}

}  // namespace

int main(int argc, char** argv) { return examples::run(run_redis, argc, argv); }
