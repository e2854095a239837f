// A small redis: PING ECHO SET GET DEL FLUSHDB WAKE QUIT SHUTDOWN, over TCP and a unix socket.

#include <evio/evio.hpp>
#include <map>
#include <string>
#include <utility>

#include "examples/flags.hpp"
#include "examples/program.hpp"
#include "examples/redis/service.hpp"

namespace {

evio::Error run_redis(int argc, char** argv) {
  examples::Service service{.name = "redis", .port = 6380, .unixsocket = "socket", .loops_in_unix_line = true};
  std::string balance = "random";
  examples::Flags flags("redis");
  flags.add("port", service.port, "server port")
      .add("loops", service.loops, "num loops")
      .add("unixsocket", service.unixsocket, "unix socket")
      .add("balance", balance, "random, round-robin, least-connections")
      .add("stdlib", service.stdlib, examples::kStdlibHelp)
      .parse(argc, argv);
  const std::map<std::string, evio::LoadBalance> balances{
      {"random", evio::LoadBalance::Random},
      {"round-robin", evio::LoadBalance::RoundRobin},
      {"least-connections", evio::LoadBalance::LeastConnections},
  };
  if (!balances.contains(balance)) flags.fail("invalid -balance flag: '" + balance + "'");

  evio::Events events = redis::events();
  events.load_balance = balances.at(balance);
  return examples::serve(std::move(events), service);
}

}  // namespace

int main(int argc, char** argv) { return examples::run(run_redis, argc, argv); }
