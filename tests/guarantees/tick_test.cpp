// Guarantee 13: tick.
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class TickTest : public ModeTest {};
EVIO_INSTANTIATE(TickTest, all_modes());

TEST_P(TickTest, RunsFirstRightAfterServingOnLoopZero) {
  EventLog log;
  std::thread::id thread;
  Events handlers = events();
  note_all(handlers, log);
  std::vector<Client> waiting;
  handlers.serving = [&](const Server& server) {
    log.add("serving");
    waiting.emplace_back(server.addrs().front());
    return Action::None;
  };
  handlers.tick = [&](std::chrono::nanoseconds& delay) {
    EXPECT_EQ(delay, 0ns);
    log.add("tick");
    thread = std::this_thread::get_id();
    delay = std::chrono::hours(1);
    return Action::None;
  };
  TestServer server(handlers, address());
  ASSERT_TRUE(log.wait_for("opened"));
  ASSERT_TRUE(log.wait_for("tick"));
  server.shutdown();
  server.wait();
  const EventLog::List all = log.all();
  EXPECT_EQ(all.front(), "serving");
  if (loops() == 1) {
    EXPECT_EQ(all.at(1), "tick");
  }
  EXPECT_EQ(log.count("tick"), 1u);
  EXPECT_EQ(thread, server.thread());
}

TEST_P(TickTest, WaitsAtLeastTheDelay) {
  std::vector<Clock::time_point> began;
  std::vector<Clock::time_point> ended;
  const std::vector<std::chrono::nanoseconds> delays{3ms, 0ms, 7ms, 1500us, -5ms, 1ns, 10ms, 2ms};
  Events handlers = events();
  handlers.tick = [&](std::chrono::nanoseconds& delay) {
    began.push_back(Clock::now());
    if (began.size() > delays.size()) return Action::Shutdown;
    delay = delays[began.size() - 1];
    std::this_thread::sleep_for(2ms);  // the delay counts from the end of this
    ended.push_back(Clock::now());
    return Action::None;
  };
  TestServer server(handlers, address());
  EXPECT_FALSE(server.wait());
  ASSERT_EQ(began.size(), delays.size() + 1);
  for (std::size_t i = 0; i < delays.size(); ++i) EXPECT_GE(began[i + 1] - ended[i], delays[i]) << i;
}

TEST_P(TickTest, ZeroOrLessIsTheNextTurnAndStarvesNobody) {
  for (const auto forever : {0ns, -1ns}) {
    Counter ticks;
    EventLog log;
    Events handlers = events();
    note_all(handlers, log);
    handlers.tick = [&](std::chrono::nanoseconds& delay) {
      ticks.add();
      delay = forever;
      return Action::None;
    };
    TestServer server(handlers, address());
    std::vector<Client> clients;
    for (int i = 0; i < 4; ++i) clients.push_back(server.connect());
    for (int round = 0; round < 20; ++round) {
      for (Client& client : clients) {
        client.send_all("ping");
        EXPECT_EQ(client.receive(4), "ping");
      }
    }
    const std::size_t before = ticks.value();
    EXPECT_TRUE(ticks.wait_for(before + 100));
  }
}

TEST_P(TickTest, RunsThoughConnectionsAreBusy) {
  Counter ticks;
  std::atomic<bool> stop{false};
  Events handlers = events();
  handlers.data = echo;
  handlers.tick = [&](std::chrono::nanoseconds& delay) {
    ticks.add();
    delay = 1ms;
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  std::thread busy([&] {
    while (!stop.load(std::memory_order_relaxed)) {  // relaxed: nothing else is passed on
      client.send_all("ping");
      client.receive(4);
    }
  });
  EXPECT_TRUE(ticks.wait_for(20));
  stop = true;
  busy.join();
}

TEST_P(TickTest, ADelayBeyondTheEndOfTimeIsNoTick) {
  Counter ticks;
  Events handlers = events();
  handlers.data = echo;
  handlers.tick = [&](std::chrono::nanoseconds& delay) {
    ticks.add();
    delay = std::chrono::nanoseconds::max();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("ping");
  EXPECT_EQ(client.receive(4), "ping");
  EXPECT_TRUE(ticks.wait_for(1)) << "loop 0 may begin to run later than the client's";
  server.shutdown();
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(ticks.value(), 1u);
}

}  // namespace
}  // namespace evio::test
