#include <cerrno>
#include <csignal>
#include <cstdio>
#include <vector>

#include "options.hpp"
#include "pattern.hpp"
#include "proc.hpp"
#include "sockets.hpp"

namespace load {

// Turns of `batch` messages, one on each of so many connections: all are sent, then all are received. The server does
// exactly the same in every turn, so what it does for a message can be counted. Given its pid, ends the server.
int run_lockstep(const Options& options) {
  const Pattern pattern;
  std::vector<Descriptor> connections(static_cast<std::size_t>(options.connections));
  std::vector<char> buffer(options.size);
  const auto batch = static_cast<std::uint64_t>(options.batch);
  const auto message = [&](std::uint64_t number) { return pattern.at(number, 0, options.size); };
  const auto connection = [&](std::uint64_t number) -> Descriptor& {
    return connections[static_cast<std::size_t>(number) % connections.size()];
  };
  const auto connect = [&](std::uint64_t number) {
    connection(number) = options.udp ? connect_udp(options.port, true) : connect_tcp(options.port, number, true);
  };
  const auto receive = [&](std::uint64_t on, std::string_view expected) {
    if (!receive_all(connection(on).get(), expected, buffer)) wrong_byte();
  };
  // On one core with the server and ahead of it, so that it finds every message of a turn waiting when it runs.
  run_ahead_of_others();
  for (std::uint64_t i = 0; i < connections.size(); ++i) connect(i);
  // The server says so when it knows of a connection.
  for (std::uint64_t i = 0; options.broadcast && i < connections.size(); ++i) receive(i, "!");
  for (std::uint64_t first = 0; first < options.messages; first += batch) {
    for (std::uint64_t i = first; i < first + batch; ++i) {
      if (options.fresh) connect(i);
      send_all(connection(i).get(), message(i));
    }
    for (std::uint64_t i = first; i < first + batch; ++i) {
      for (int reply = 0; reply < options.replies; ++reply) receive(i, message(i));
      for (std::uint64_t other = 1; options.broadcast && other < connections.size(); ++other)
        receive(i + other, message(i));
    }
  }
  // Before the connections are closed: the server must not come to see some of that.
  if (options.pid != 0 && kill(options.pid, SIGTERM) != 0) fail("kill");
  std::printf("messages=%llu\n", static_cast<unsigned long long>(options.messages));
  return 0;
}

}  // namespace load
