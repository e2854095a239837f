// A relay of pairs of connections on one loop, and the two ends of each pair, in one process. Prints one line:
// --mode=trips: 64 bytes there and back at a time, on 50 pairs; --mode=stream: 64 KiB at a time on one; of both what
// the loop's thread needs. --mode=flood: 200 MiB both ways through an end that blocks in its writes, and how much the
// relay keeps meanwhile; 1 is returned where that is more than it may be.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <ctime>
#include <evio/evio.hpp>
#include <fstream>
#include <iostream>
#include <semaphore>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "bench/load/sockets.hpp"

namespace {

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;
constexpr std::size_t kHighWater = 256 * kKiB;
constexpr std::size_t kOneRead = 256 * kKiB;

std::int64_t thread_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t all = 0;
  std::size_t resident = 0;
  statm >> all >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

/// Connection 2n and 2n + 1 are each other's: each has the other as its context.
/// Thread-safety: connections are opened one by one; cpu_time() and most_pending() any thread.
class Relay {
 public:
  Relay() {
    thread_ = std::thread([this] { serve(); });
    ready_.acquire();
  }
  ~Relay() {
    server_.shutdown();
    thread_.join();
  }
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  load::Descriptor connect() {
    load::Descriptor fd = load::connect_tcp(server_.addrs().front().port(), 0, true);
    ready_.acquire();
    return fd;
  }
  /// What the loop's thread has used.
  std::int64_t cpu_time() {
    std::int64_t time = 0;
    server_.post(0, [&] {
      time = thread_time();
      ready_.release();
      return evio::Action::None;
    });
    ready_.acquire();
    return time;
  }
  std::size_t most_pending() const { return most_pending_; }

 private:
  void serve() {
    evio::Events events;
    events.serving = [this](const evio::Server& server) {
      server_ = server;
      ready_.release();
      return evio::Action::None;
    };
    events.opened = [this](evio::Conn& conn, evio::Output&, evio::Options& options) {
      options.read_while_pending = options.half_open = true;
      options.high_water = kHighWater;
      options.low_water = kHighWater / 4;
      if (std::exchange(has_last_, !has_last_)) {
        last_.set_context(conn);
        conn.set_context(std::exchange(last_, {}));
      } else {
        last_ = conn;
      }
      ready_.release();
      return evio::Action::None;
    };
    events.data = [this](evio::Conn& conn, const evio::Bytes& in, evio::Output&) {
      const evio::Conn& other = *conn.context<evio::Conn>();
      other.send(in);
      note(other.pending());
      return evio::Action::None;
    };
    events.congested = [this](evio::Conn& conn) {
      note(conn.pending());
      conn.context<evio::Conn>()->pause();
      return evio::Action::None;
    };
    events.drained = [](evio::Conn& conn, evio::Output&) {
      conn.context<evio::Conn>()->resume();
      return evio::Action::None;
    };
    events.ended = [](evio::Conn& conn, evio::Output&) {
      conn.context<evio::Conn>()->close_write();
      return evio::Action::None;
    };
    if (auto error = evio::serve(std::move(events), "tcp4://127.0.0.1:0")) std::cerr << error.message() << '\n';
  }
  // The loop alone writes.
  void note(std::size_t pending) {
    if (pending > most_pending_.load(std::memory_order_relaxed)) most_pending_ = pending;
  }

  std::counting_semaphore<> ready_{0};
  evio::Server server_;
  evio::Conn last_;
  bool has_last_ = false;
  std::atomic<std::size_t> most_pending_{0};
  std::thread thread_;
};

struct Pair {
  explicit Pair(Relay& relay) : client(relay.connect()), peer(relay.connect()) {}
  load::Descriptor client;
  load::Descriptor peer;
};

void pass(int from, int to, std::string& buffer) {
  if (recv(from, buffer.data(), buffer.size(), MSG_WAITALL) != static_cast<ssize_t>(buffer.size())) load::fail("recv");
  load::send_all(to, buffer);
}

// Each message goes to the peer and back; on all pairs before the next one.
int there_and_back(std::size_t pairs, std::size_t size, std::size_t rounds) {
  Relay relay;
  std::vector<Pair> all;
  for (std::size_t i = 0; i != pairs; ++i) all.emplace_back(relay);
  const std::string message(size, 'x');
  std::string buffer(size, ' ');
  const auto round = [&] {
    for (const Pair& pair : all) load::send_all(pair.client.get(), message);
    for (const Pair& pair : all) pass(pair.peer.get(), pair.peer.get(), buffer);
    for (const Pair& pair : all) {
      if (recv(pair.client.get(), buffer.data(), size, MSG_WAITALL) != static_cast<ssize_t>(size)) load::fail("recv");
      if (buffer != message) load::wrong_byte();
    }
  };
  for (std::size_t i = 0; i != rounds / 10; ++i) round();
  const std::int64_t before = relay.cpu_time();
  for (std::size_t i = 0; i != rounds; ++i) round();
  const auto spent = static_cast<double>(relay.cpu_time() - before);
  std::printf("cpu_ns=%.0f\n", spent / static_cast<double>(rounds * pairs));
  return 0;
}

// Each byte says where in the stream it stands.
void fill(std::string& piece, std::size_t at) {
  for (std::size_t i = 0; i != piece.size(); ++i) piece[i] = static_cast<char>((at + i) * 2'654'435'761 >> 24);
}

int flood(std::size_t amount) {
  Relay relay;
  const Pair pair(relay);
  std::string got(kMiB, ' ');
  std::string expected(kMiB, ' ');
  std::string sent(kMiB, ' ');
  std::string echoed(100 * kKiB, ' ');
  const std::size_t idle = resident_bytes();
  std::size_t most = idle;
  std::thread echo([&] {
    for (ssize_t size = 0; (size = recv(pair.peer.get(), echoed.data(), echoed.size(), 0)) > 0;)
      load::send_all(pair.peer.get(), std::string_view(echoed).substr(0, static_cast<std::size_t>(size)));
    shutdown(pair.peer.get(), SHUT_WR);
  });
  std::thread sender([&] {
    for (std::size_t at = 0; at < amount; at += sent.size()) {
      fill(sent, at);
      load::send_all(pair.client.get(), sent);
    }
    shutdown(pair.client.get(), SHUT_WR);
  });
  for (std::size_t at = 0; at < amount; at += got.size()) {
    fill(expected, at);
    if (recv(pair.client.get(), got.data(), got.size(), MSG_WAITALL) != static_cast<ssize_t>(got.size()) ||
        got != expected)
      load::wrong_byte();
    most = std::max(most, resident_bytes());
  }
  if (recv(pair.client.get(), got.data(), 1, 0) != 0) load::fail("the end of the stream");
  sender.join();
  echo.join();
  const std::size_t pending = relay.most_pending();
  std::printf("pending_kib=%.0f more_rss_mib=%.1f\n", static_cast<double>(pending) / kKiB,
              static_cast<double>(most - idle) / kMiB);
  return pending > kHighWater + kOneRead || most - idle > 8 * kMiB ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "--mode=trips") return there_and_back(50, 64, 2000);
  if (mode == "--mode=stream") return there_and_back(1, 64 * kKiB, 10'000);
  if (mode == "--mode=flood") return flood(200 * kMiB);
  std::cerr << "usage: " << argv[0] << " --mode=trips|stream|flood\n";
  return 2;
}
