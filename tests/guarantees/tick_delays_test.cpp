// Tick with changing delays, as programs use it: a heartbeat whose pace changes, a back-off, a deadline for idle
// connections, a flag that is looked at.
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class TickDelaysTest : public ModeTest {};
EVIO_INSTANTIATE(TickDelaysTest, all_modes());

TEST_P(TickDelaysTest, ABackOffWaitsLongerEachTime) {
  std::vector<Clock::time_point> ended;
  std::vector<Clock::time_point> began;
  std::chrono::nanoseconds next = 500us;
  Events handlers = events();
  handlers.tick = [&](std::chrono::nanoseconds& delay) {
    EXPECT_EQ(delay, 0ns) << "each call starts from nothing";
    began.push_back(Clock::now());
    if (began.size() == 8) return Action::Shutdown;
    delay = next;
    next *= 2;
    ended.push_back(Clock::now());
    return Action::None;
  };
  TestServer server(handlers, address());
  EXPECT_FALSE(server.wait());
  ASSERT_EQ(began.size(), 8u);
  std::chrono::nanoseconds least = 500us;
  for (std::size_t i = 0; i != ended.size(); ++i, least *= 2) EXPECT_GE(began[i + 1] - ended[i], least) << i;
}

// Those who are connected hear each beat, whatever its delay was, and in the order of the beats.
TEST_P(TickDelaysTest, AHeartbeatReachesEveryConnection) {
  constexpr int kBeats = 40;
  std::mutex mutex;
  std::map<std::uint64_t, Conn> connected;
  int beat = 0;
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    const std::lock_guard lock(mutex);
    connected[conn.id()] = conn;
    return Action::None;
  };
  handlers.closed = [&](Conn& conn, const Error&) {
    const std::lock_guard lock(mutex);
    connected.erase(conn.id());
    return Action::None;
  };
  handlers.tick = [&](std::chrono::nanoseconds& delay) {
    const std::lock_guard lock(mutex);
    if (connected.size() == 3 && beat != kBeats) {
      for (const auto& [id, conn] : connected) EXPECT_TRUE(conn.send("beat " + std::to_string(beat) + "\n"));
      ++beat;
    }
    delay = std::chrono::microseconds(300) * (beat % 5);  // 0 now and then
    return Action::None;
  };
  std::string expected;
  for (int i = 0; i != kBeats; ++i) expected += "beat " + std::to_string(i) + "\n";
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (int i = 0; i != 3; ++i) clients.push_back(server.connect());
  for (Client& client : clients) EXPECT_EQ(client.receive(expected.size()), expected);
}

TEST_P(TickDelaysTest, TheIdleAreClosedAndTheBusyAreNot) {
  struct Entry {
    Conn conn;
    int idle_ticks = 0;
  };
  std::mutex mutex;
  std::map<std::uint64_t, Entry> entries;
  std::atomic<bool> counting{false};  // from when the busy one was heard: it may take its time to speak
  EventLog log;
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    const std::lock_guard lock(mutex);
    entries[conn.id()].conn = conn;
    return Action::None;
  };
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    const std::lock_guard lock(mutex);
    entries[conn.id()].idle_ticks = -1'000'000;  // heard of: not closed in this test
    return echo(conn, in, out);
  };
  handlers.closed = [&](Conn& conn, const Error& err) {
    EXPECT_FALSE(err) << err.message();
    log.add("closed");
    const std::lock_guard lock(mutex);
    entries.erase(conn.id());
    return Action::None;
  };
  handlers.tick = [&](std::chrono::nanoseconds& delay) {
    const std::lock_guard lock(mutex);
    for (auto& [id, entry] : entries) {
      if (counting && ++entry.idle_ticks == 20) entry.conn.close();
    }
    delay = 1ms;
    return Action::None;
  };
  TestServer server(handlers, address());
  Client busy = server.connect();
  busy.send_all("ping");
  EXPECT_EQ(busy.receive(4), "ping");
  counting = true;
  Client idle = server.connect();
  EXPECT_EQ(idle.receive_all(), "");
  EXPECT_TRUE(log.wait_for("closed", 1));
  busy.send_all("pong");
  EXPECT_EQ(busy.receive(4), "pong");
}

TEST_P(TickDelaysTest, AFlagThatIsLookedAtEndsTheServer) {
  std::atomic<bool> stop{false};
  Counter ticks;
  Events handlers = events();
  handlers.data = echo;
  handlers.tick = [&](std::chrono::nanoseconds& delay) {
    ticks.add();
    delay = ticks.value() % 2 == 0 ? 200us : 2ms;
    return stop.load() ? Action::Shutdown : Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("ping");
  EXPECT_EQ(client.receive(4), "ping");
  EXPECT_TRUE(ticks.wait_for(10));
  EXPECT_FALSE(server.returned());
  stop = true;
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(client.receive_all(), "");
}

// A long delay does not become shorter because there is much else to do.
TEST_P(TickDelaysTest, ALongDelayAfterShortOnesIsKept) {
  Counter ticks;
  Events handlers = events();
  handlers.data = echo;
  handlers.tick = [&](std::chrono::nanoseconds& delay) {
    delay = ticks.add() < 5 ? 100us : std::chrono::nanoseconds(1h);
    return Action::None;
  };
  TestServer server(handlers, address());
  EXPECT_TRUE(ticks.wait_for(5));
  Client client = server.connect();
  for (int i = 0; i != 200; ++i) {
    client.send_all("ping");
    ASSERT_EQ(client.receive(4), "ping");
  }
  EXPECT_TRUE(all_sleep());
  EXPECT_EQ(ticks.value(), 5u);
}

}  // namespace
}  // namespace evio::test
