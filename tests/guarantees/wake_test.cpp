// Guarantee 7: a wake is never lost and never late.
#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/enough.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class WakeTest : public ModeTest {};
EVIO_INSTANTIATE(WakeTest, with_tls(all_modes()));

// Keeps each connection for the test's other threads.
struct Opened {
  Action operator()(Conn& conn, Output&, Options&) {
    const std::lock_guard lock(mutex);
    conns.push_back(conn);
    count.add();
    return Action::None;
  }
  std::mutex mutex;
  std::vector<Conn> conns;
  Counter count;
};

// Nothing else ever moves here: a note between the loop's last look and its sleep would stay there for ever.
TEST_P(WakeTest, EachWakeOfAnIdleLoopIsAnswered) {
  const Enough enough(kSanitized ? 2'000 : 10'000);
  Opened opened;
  Counter woken;
  Events handlers = events();
  handlers.opened = std::ref(opened);
  handlers.data = [&](Conn&, const Bytes& in, Output&) {
    EXPECT_TRUE(in.empty());
    woken.add();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(opened.count.wait_for(1));
  for (std::size_t i = 1; !enough.reached(i); ++i) {
    ASSERT_TRUE(opened.conns.front().wake());
    ASSERT_TRUE(woken.wait_for(i)) << "wake number " << i << " is lost";
    EXPECT_EQ(woken.value(), i);
  }
}

// The idiom of evio: what others have left is sent by the data call that the wake brings.
TEST_P(WakeTest, IsNotLostToAShutdownCalledAfterIt) {
  for (int round = 0; round < 50; ++round) {
    Opened opened;
    std::atomic<int> left_for_it{0};
    Events handlers = events();
    handlers.opened = std::ref(opened);
    handlers.data = [&](Conn&, const Bytes&, Output& out) {
      if (left_for_it.exchange(0, std::memory_order_acquire) != 0) out = "left";
      return Action::None;
    };
    TestServer server(handlers, address());
    Client client = server.connect();
    Client other = server.connect();
    ASSERT_TRUE(opened.count.wait_for(2));
    left_for_it.store(1, std::memory_order_release);
    ASSERT_TRUE(opened.conns.back().send("sent, "));
    ASSERT_TRUE(opened.conns.back().wake());
    server.shutdown();
    EXPECT_EQ(client.receive_all() + other.receive_all(), "sent, left") << "in round " << round;
    EXPECT_FALSE(server.wait());
  }
}

TEST_P(WakeTest, TheLastOfManyWakesIsHeard) {
  constexpr int kThreads = 4;
  constexpr int kWakes = kSanitized ? 2'000 : 10'000;
  constexpr std::size_t kConns = 5;
  Opened opened;
  std::atomic<int> written{0};
  std::vector<std::atomic<int>> seen(kConns);
  Events handlers = events();
  handlers.opened = std::ref(opened);
  handlers.data = [&](Conn& conn, const Bytes&, Output&) {
    for (std::size_t i = 0; i < kConns; ++i) {
      // relaxed: wake() itself must make visible what was written before it.
      if (opened.conns[i] == conn) seen[i].store(written.load(std::memory_order_relaxed), std::memory_order_release);
    }
    return Action::None;
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (std::size_t i = 0; i < kConns; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(opened.count.wait_for(kConns));
  std::vector<std::thread> wakers;
  for (int t = 0; t < kThreads; ++t) {
    wakers.emplace_back([&] {
      for (int i = 0; i < kWakes; ++i) {
        written.fetch_add(1, std::memory_order_relaxed);
        for (const Conn& conn : opened.conns) conn.wake();
      }
    });
  }
  for (std::thread& waker : wakers) waker.join();
  for (std::size_t i = 0; i < kConns; ++i) {
    EXPECT_TRUE(eventually([&] { return seen[i].load(std::memory_order_acquire) == kThreads * kWakes; }));
  }
}

TEST_P(WakeTest, AWakeFromEachCallbackArrives) {
  EventLog log;
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    log.add("opened");
    EXPECT_TRUE(conn.wake());
    EXPECT_EQ(log.count("wake"), 0u) << "a callback ran within another";
    return Action::None;
  };
  handlers.data = [&](Conn& conn, const Bytes& in, Output&) {
    const std::string event = in.empty() ? "wake" : "data";
    log.add(event);
    if (log.count("wake") < 3) {
      EXPECT_TRUE(conn.wake());
    }
    return Action::None;
  };
  handlers.closed = [&](Conn& conn, const Error&) {
    EXPECT_FALSE(conn.wake());
    log.add("closed");
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(log.wait_for("wake", 3));
  client.shutdown_write();
  ASSERT_TRUE(log.wait_for("closed"));
  EXPECT_EQ(log.all(), (EventLog::List{"opened", "wake", "wake", "wake", "closed"}));
}

TEST_P(WakeTest, NoCallbackRunsInlineSoALockMayBeHeld) {
  Opened opened;
  Counter woken;
  std::mutex mutex;
  Events handlers = events();
  handlers.opened = std::ref(opened);
  handlers.data = [&](Conn&, const Bytes&, Output&) {
    const std::lock_guard lock(mutex);
    woken.add();
    return Action::None;
  };
  handlers.closed = [&](Conn&, const Error&) {
    const std::lock_guard lock(mutex);
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(opened.count.wait_for(1));
  {
    const std::lock_guard lock(mutex);
    const Conn& conn = opened.conns.front();
    conn.wake();
    conn.send("hello");
    conn.close();
    EXPECT_EQ(woken.value(), 0u);
  }
  EXPECT_EQ(client.receive_all(), "hello");
}

TEST_P(WakeTest, WakesDoNotKeepInputFromArriving) {
  Opened opened;
  std::atomic<bool> stop{false};
  Events handlers = events();
  handlers.opened = std::ref(opened);
  handlers.data = echo;
  TestServer server(handlers, address());
  Client woken = server.connect();
  Client client = server.connect();
  ASSERT_TRUE(opened.count.wait_for(2));
  std::thread waker([&] {
    while (!stop.load(std::memory_order_relaxed)) {  // relaxed: nothing else is passed on
      for (const Conn& conn : opened.conns) conn.wake();
    }
  });
  for (int i = 0; i < 100; ++i) {
    client.send_all("ping");
    EXPECT_EQ(client.receive(4), "ping");
  }
  stop = true;
  waker.join();
}

class WakeFairnessTest : public ModeTest {};
EVIO_INSTANTIATE(WakeFairnessTest, modes_of({1}));

// The wake is posted into a backlog of another thread's notes: it must not wait until the last of them.
TEST_P(WakeFairnessTest, ArrivesDuringAFloodOfSends) {
  constexpr std::size_t kFlood = 40'000;
  Opened opened;
  Gate held;
  Gate go_on;
  Counter batches;
  std::atomic<std::size_t> batches_before_wake{kFlood};
  Gate woken;
  Events handlers = events();
  handlers.opened = std::ref(opened);
  handlers.pre_write = [&] { batches.add(); };
  handlers.data = [&](Conn&, const Bytes& in, Output&) {
    if (in.empty()) {
      if (held.is_open()) {
        batches_before_wake = batches.value();
        woken.open();
      }
    } else {
      held.open();
      EXPECT_TRUE(go_on.wait());
    }
    return Action::None;
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(opened.count.wait_for(3));
  opened.conns[2].wake();  // this thread is known to the loop before the one that floods
  clients[0].send_all("hold");
  ASSERT_TRUE(held.wait());
  std::thread flood([&] {
    // By turns, so that each is a batch of its own.
    for (std::size_t i = 0; i < kFlood; ++i) opened.conns[i % 2].send("x");
  });
  flood.join();
  opened.conns[2].wake();
  go_on.open();
  ASSERT_TRUE(woken.wait());
  EXPECT_LT(batches_before_wake.load(), kFlood / 2);
}

TEST_P(WakeTest, DoesNothingOnceTheConnectionIsClosed) {
  EventLog log;
  std::vector<Conn> conns;
  Events handlers = events();
  note_all(handlers, log);
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    conns.push_back(conn);
    log.add(conn, "opened");
    return Action::None;
  };
  TestServer server(handlers, address());
  Client gone = server.connect();
  ASSERT_TRUE(log.wait_for("opened"));
  gone.close();
  ASSERT_TRUE(log.wait_for("closed"));
  EXPECT_FALSE(conns[0].wake());
  EXPECT_FALSE(conns[0].send("x"));
  EXPECT_FALSE(conns[0].close());
  Client open = server.connect();
  ASSERT_TRUE(log.wait_for("opened", 2));
  server.shutdown();
  server.wait();
  for (const Conn& conn : conns) {
    EXPECT_FALSE(conn.wake());
    EXPECT_FALSE(conn.send("x"));
    EXPECT_FALSE(conn.close());
  }
  EXPECT_EQ(log.all(), (EventLog::List{"opened", "closed", "opened", "closed"}));
  EXPECT_FALSE(Conn().wake());
}

}  // namespace
}  // namespace evio::test
