// A user's program: serves itself one line, then has an exception of its own carried through the library.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <evio/evio.hpp>
#include <iostream>
#include <string>
#include <thread>

#if __has_include("internal/base/syscalls.hpp") || __has_include("tests/CMakeLists.txt")
#error "evio's own folders are in the include path of its users"
#endif

namespace {

constexpr int kSeconds = 300;

std::string talk(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string reply;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 && ::send(fd, "hello", 5, 0) == 5) {
    char buffer[5] = {};
    while (reply.size() < 5) {
      const auto n = ::recv(fd, buffer, sizeof buffer, 0);
      if (n <= 0) break;
      reply.append(buffer, static_cast<std::size_t>(n));
    }
  }
  ::close(fd);
  return reply;
}

bool echoes() {
  std::string reply;
  std::jthread client;
  evio::Events events;
  events.num_loops = 2;
  events.serving = [&](const evio::Server& server) {
    client = std::jthread([&reply, server] {
      reply = talk(server.addrs().front().port());
      server.shutdown();
    });
    return evio::Action::None;
  };
  events.data = [](evio::Conn&, std::string_view in, evio::Output& out) {
    out = in;
    return evio::Action::None;
  };
  const evio::Error err = evio::serve(events, "tcp://127.0.0.1:0");
  if (err) std::cerr << err.message() << '\n';
  client.join();
  return !err && reply == "hello";
}

bool carries_an_exception() {
  struct Thrown {};
  evio::Events events;
  events.tick = [](std::chrono::nanoseconds&) -> evio::Action { throw Thrown(); };
  try {
    (void)evio::serve(events, "tcp://127.0.0.1:0");
    return false;
  } catch (const Thrown&) {
    return true;
  }
}

}  // namespace

int main() {
  ::alarm(kSeconds);  // the watchdog
  if (!echoes()) return std::cerr << "no echo\n", 1;
  if (!carries_an_exception()) return std::cerr << "no exception\n", 1;
  return 0;
}
