#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <vector>

#include "link.hpp"
#include "options.hpp"
#include "pattern.hpp"
#include "proc.hpp"
#include "sockets.hpp"

namespace load {

namespace {

/// Opens connections that have one message echoed and then stay idle.
/// Thread-safety: one thread.
class IdleLoad {
 public:
  explicit IdleLoad(const Options& options) : options_(options), buffer_(Pattern::kAtOnce) {}

  void open_until(std::size_t count) {
    while (connections_.size() < count) {
      const std::uint64_t number = connections_.size();
      connections_.push_back(connect_link(options_, number, true));
      const auto bytes = pattern_.at(number, 0, options_.size);
      send_all(connections_.back(), bytes);
      if (!receive_all(connections_.back(), bytes, buffer_)) wrong_byte();
    }
  }

  // Writing and reading go on side by side: a server that does not read while its reply is stuck must not stop the
  // burst.
  void burst(std::uint64_t number, std::size_t size) {
    Link& link = connections_[static_cast<std::size_t>(number)];
    stop_blocking(link.fd());
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    while (received < size) {
      pollfd wait{link.fd(), static_cast<short>(sent < size ? POLLIN | POLLOUT : POLLIN), 0};
      if (poll(&wait, 1, kStalled) <= 0) fail("a burst stalled");
      if ((wait.revents & POLLOUT) != 0) sent += write(link, number, sent, size);
      if ((wait.revents & ~POLLOUT) == 0) continue;
      do received += read(link, number, received);
      while (link.holds_more() && received < size);
    }
  }

 private:
  static constexpr int kStalled = 10'000;

  std::uint64_t write(Link& link, std::uint64_t number, std::uint64_t sent, std::size_t size) {
    const auto bytes = pattern_.at(number, sent, size - static_cast<std::size_t>(sent));
    const ssize_t count = link.send(bytes);
    if (count < 0 && errno != EAGAIN) fail("send");
    return count < 0 ? 0 : static_cast<std::uint64_t>(count);
  }

  std::uint64_t read(Link& link, std::uint64_t number, std::uint64_t received) {
    const ssize_t count = link.receive(buffer_.data(), buffer_.size());
    if (count < 0 && errno == EAGAIN) return 0;  // a part of a record
    if (count <= 0) fail("recv");
    if (!pattern_.matches(number, received, {buffer_.data(), static_cast<std::size_t>(count)})) wrong_byte();
    return static_cast<std::uint64_t>(count);
  }

  const Options& options_;
  const Pattern pattern_;
  std::vector<Link> connections_;
  std::vector<char> buffer_;
};

double per_connection(std::uint64_t before, std::uint64_t after, int connections) {
  return connections == 0 ? 0 : (static_cast<double>(after) - static_cast<double>(before)) / connections;
}

}  // namespace

int run_idle(const Options& options) {
  IdleLoad load(options);
  load.open_until(static_cast<std::size_t>(options.base));
  const std::uint64_t few = settled_resident_bytes(options.pid);
  load.open_until(static_cast<std::size_t>(options.connections));
  const std::uint64_t many = settled_resident_bytes(options.pid);
  // The first burst is left out: it makes what a server keeps for all connections together, such as its buffer.
  const int bursts = std::min(options.burst_connections, options.connections);
  if (bursts > 0) load.burst(0, options.burst);
  const std::uint64_t before = settled_resident_bytes(options.pid);
  for (int i = 0; i < bursts; ++i) load.burst(static_cast<std::uint64_t>(i), options.burst);
  const std::uint64_t after = settled_resident_bytes(options.pid);
  std::printf("idle_bytes=%.1f burst_bytes=%.1f rss=%llu\n",
              per_connection(few, many, options.connections - options.base), per_connection(before, after, bursts),
              static_cast<unsigned long long>(after));
  return 0;
}

}  // namespace load
