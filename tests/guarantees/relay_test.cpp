// Guarantee 21, put together: a relay of two connections that pauses one while the other is congested passes any amount
// both ways, through a peer that blocks in its writes, and keeps little of it.
#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

constexpr std::size_t kHighWater = 256 * 1024;
constexpr std::size_t kLowWater = 64 * 1024;
constexpr std::size_t kOneRead = 256 * 1024;
constexpr std::size_t kAmount = (kSanitized ? 8 : 64) * 1024 * 1024;

/// The handlers of a relay: connection 2n and 2n + 1 are each other's, in the order in which they are opened.
/// Thread-safety: any thread.
class Relay {
 public:
  void add_to(Events& handlers) {
    handlers.opened = [this](Conn& conn, Output&, Options& opts) {
      opts.read_while_pending = true;
      opts.half_open = true;
      opts.high_water = kHighWater;
      opts.low_water = kLowWater;
      {
        const std::lock_guard lock(mutex_);
        conns_.push_back(conn);
      }
      opened_.add();
      return Action::None;
    };
    handlers.data = [this](Conn& conn, const Bytes& in, Output&) {
      const Conn other = other_of(conn);
      EXPECT_TRUE(other.send(in));
      note(other.pending());
      return Action::None;
    };
    handlers.congested = [this](Conn& conn) {
      note(conn.pending());
      congested_.add();
      // Refused of a connection that has closed: one of another loop may have meanwhile, behind its peer's end.
      const Conn other = other_of(conn);
      EXPECT_TRUE(other.pause() || (has_ended(other) && other.loop_index() != conn.loop_index()));
      return Action::None;
    };
    handlers.drained = [this](Conn& conn, Output&) {
      other_of(conn).resume();
      return Action::None;
    };
    handlers.ended = [this](Conn& conn, Output&) {
      {
        const std::lock_guard lock(mutex_);
        ended_.push_back(conn);
      }
      EXPECT_TRUE(other_of(conn).close_write());
      return Action::None;
    };
    handlers.closed = [this](Conn&, const Error& err) {
      EXPECT_FALSE(err) << err.message();
      closed_.add();
      return Action::None;
    };
  }

  std::size_t most_pending() const { return most_pending_; }
  std::size_t congested() const { return congested_.value(); }
  bool wait_until_opened(std::size_t n) const { return opened_.wait_for(n); }
  bool wait_until_closed(std::size_t n) const { return closed_.wait_for(n); }
  bool share_a_loop(std::size_t a, std::size_t b) const {
    const std::lock_guard lock(mutex_);
    return conns_[a].loop_index() == conns_[b].loop_index();
  }

 private:
  Conn other_of(const Conn& conn) const {
    const std::lock_guard lock(mutex_);
    const auto at = std::find(conns_.begin(), conns_.end(), conn) - conns_.begin();
    return conns_[static_cast<std::size_t>(at ^ 1)];
  }
  bool has_ended(const Conn& conn) const {
    const std::lock_guard lock(mutex_);
    return std::find(ended_.begin(), ended_.end(), conn) != ended_.end();
  }
  void note(std::size_t pending) {
    std::size_t most = most_pending_;
    while (pending > most && !most_pending_.compare_exchange_weak(most, pending)) {
    }
  }

  mutable std::mutex mutex_;
  std::vector<Conn> conns_;
  std::vector<Conn> ended_;
  std::atomic<std::size_t> most_pending_{0};
  Counter opened_;
  Counter congested_;
  Counter closed_;
};

/// Sends what it receives, and reads no more until all of that was taken; up to the end of the stream, which it passes
/// on. `to` may be the same as `from`.
void copy_blocking(Client& from, Client& to) {
  for (;;) {
    const std::string chunk = from.receive(100'000);
    if (!chunk.empty() && !to.send_all(chunk)) break;
    if (from.at_end() || from.error()) break;
  }
  to.shutdown_write();
}

class RelayTest : public ModeTest {
 protected:
  Events relaying() {
    Events handlers = events();
    handlers.load_balance = LoadBalance::RoundRobin;
    relay_.add_to(handlers);
    return handlers;
  }
  Client connect(const TestServer& server, std::size_t nth) {
    Client client = server.connect();
    EXPECT_TRUE(relay_.wait_until_opened(nth));
    return client;
  }
  // Sends the amount and its end, and receives the same.
  static void pass_through(Client& client) {
    const std::string piece = pattern(1'000'003);
    std::thread sender([&] {
      for (std::size_t left = kAmount; left != 0;) {
        const std::size_t size = std::min(left, piece.size());
        if (!client.send_all(std::string_view(piece).substr(0, size))) break;
        left -= size;
      }
      client.shutdown_write();
    });
    for (std::size_t left = kAmount; left != 0;) {
      const std::size_t size = std::min(left, piece.size());
      const std::string got = client.receive(size);
      EXPECT_TRUE(got == std::string_view(piece).substr(0, size)) << kAmount - left;
      if (got.size() != size) break;
      left -= size;
    }
    EXPECT_EQ(client.receive_all(), "");
    EXPECT_TRUE(client.at_end()) << client.error().message();
    sender.join();
  }

  Relay relay_;
};
EVIO_INSTANTIATE(RelayTest, with_tls(all_modes()));

TEST_P(RelayTest, PassesAnyAmountBothWaysThroughABlockingPeer) {
  TestServer server(relaying(), address());
  Client client = connect(server, 1);
  Client peer = connect(server, 2);
  std::thread echo([&] { copy_blocking(peer, peer); });
  pass_through(client);
  echo.join();
  EXPECT_TRUE(relay_.wait_until_closed(2));
  EXPECT_GT(relay_.most_pending(), 0u);
  // Across loops it is also what is read until the pause arrives.
  if (relay_.share_a_loop(0, 1)) {
    EXPECT_LE(relay_.most_pending(), kHighWater + kOneRead);
  }
}

// Neither end reads before it has sent everything: all that can move is in the relay, which keeps what it may and no
// more. Then both read.
TEST_P(RelayTest, KeepsNoMoreThanHighWaterAndOneRead) {
  TestServer server(relaying(), address());
  Client client = connect(server, 1);
  Client peer = connect(server, 2);
  const std::string text = pattern(1'000'003);
  const std::size_t most = 100'000'000;
  const std::size_t there = client.send_until_full(text, most, [this] { return all_sleep(); });
  const std::size_t back = peer.send_until_full(text, most, [this] { return all_sleep(); });
  ASSERT_LT(there, most);
  ASSERT_LT(back, most);
  EXPECT_TRUE(all_sleep()) << "something spins";
  EXPECT_GE(relay_.congested(), 2u);
  if (relay_.share_a_loop(0, 1)) {
    EXPECT_LE(relay_.most_pending(), kHighWater + kOneRead);
  }
  // Over tls the end is a record, for which there is no room yet.
  std::thread ends_client([&] { client.shutdown_write(); });
  std::thread ends_peer([&] { peer.shutdown_write(); });
  EXPECT_TRUE(peer.receive_all() == repeated(text, there));
  EXPECT_TRUE(client.receive_all() == repeated(text, back));
  ends_client.join();
  ends_peer.join();
  EXPECT_TRUE(relay_.wait_until_closed(2));
}

// client - relay - wire - relay - peer.
TEST_P(RelayTest, TwoOfThemPassAnyAmountHeadToHead) {
  TestServer server(relaying(), address());
  Client client = connect(server, 1);
  Client near = connect(server, 2);
  Client far = connect(server, 3);
  Client peer = connect(server, 4);
  std::thread there([&] { copy_blocking(near, far); });
  std::thread back([&] { copy_blocking(far, near); });
  std::thread echo([&] { copy_blocking(peer, peer); });
  pass_through(client);
  echo.join();
  there.join();
  back.join();
  EXPECT_TRUE(relay_.wait_until_closed(4));
  if (loops() == 1) {
    EXPECT_LE(relay_.most_pending(), kHighWater + kOneRead);
  }
}

}  // namespace
}  // namespace evio::test
