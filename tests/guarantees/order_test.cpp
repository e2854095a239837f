// Guarantee 1: the order of events.
#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class OrderTest : public ModeTest {};
EVIO_INSTANTIATE(OrderTest, with_tls(all_modes()));

// In `serving` a client connects, and nobody shakes hands with it: no loop runs yet.
class ServingOrderTest : public OrderTest {};
EVIO_INSTANTIATE(ServingOrderTest, all_modes());

TEST_P(ServingOrderTest, ServingRunsOnceOnTheCallingThread) {
  Counter calls;
  std::thread::id thread;
  int connected = 0;
  Events handlers = events();
  handlers.serving = [&](const Server& server) {
    calls.add();
    thread = std::this_thread::get_id();
    // The kernel completes these from the backlog: they need a listener, not a loop.
    for (const Addr& addr : server.addrs()) connected += Client(addr).connected() ? 1 : 0;
    return Action::None;
  };
  TestServer server(handlers, {address(), address(), address()});
  EXPECT_EQ(thread, server.thread());
  EXPECT_EQ(connected, 3);
  EXPECT_EQ(server.handle().addrs().size(), 3u);
  EXPECT_EQ(server.handle().num_loops(), loops());
  server.shutdown();
  server.wait();
  EXPECT_EQ(calls.value(), 1u);
}

TEST_P(OrderTest, OpenedThenDataThenClosed) {
  constexpr int kClients = 12;
  constexpr int kRounds = 4;
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  TestServer server(handlers, {address(), address()});
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&server, i] {
      Client client = server.connect(static_cast<std::size_t>(i % 2));
      for (int round = 0; round < kRounds; ++round) {
        client.send_all("ping");
        EXPECT_EQ(client.receive(4), "ping");
      }
    });
  }
  for (std::thread& client : clients) client.join();
  ASSERT_TRUE(log.wait_for("closed", kClients));
  ASSERT_EQ(log.ids().size(), std::size_t{kClients});
  for (const std::uint64_t id : log.ids()) {
    const EventLog::List list = log.of(id);
    ASSERT_GE(list.size(), std::size_t{kRounds + 2});
    EXPECT_EQ(list.front(), "opened");
    EXPECT_EQ(list.back(), "closed");
    EXPECT_EQ(std::count(list.begin() + 1, list.end() - 1, "data"), static_cast<std::ptrdiff_t>(list.size() - 2));
  }
}

TEST_P(OrderTest, AnImmediateResetClosesOncePerOpened) {
  EventLog log;
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    log.add(conn, "opened");
    return Action::None;
  };
  handlers.closed = [&](Conn& conn, const Error&) {
    log.add(conn, "closed");
    return Action::None;
  };
  TestServer server(handlers, address());
  for (int i = 0; i < 50; ++i) server.connect().reset();
  Client last = server.connect();
  last.shutdown_write();
  EXPECT_EQ(last.receive_all(), "");
  server.shutdown();
  server.wait();
  EXPECT_FALSE(log.ids().empty());
  for (const std::uint64_t id : log.ids()) EXPECT_EQ(log.of(id), (EventLog::List{"opened", "closed"}));
}

// What one connection's events ran on, and whether two of them ran at once.
struct Where {
  std::atomic<int> inside{0};
  std::atomic<bool> overlapped{false};
  std::atomic<bool> moved{false};
  std::thread::id thread;
  int loop = -1;

  void enter(const Conn& conn) {  // and leave() when the callback is over
    // relaxed: a second callback at the same time is what this looks for, whatever the order.
    if (inside.fetch_add(1, std::memory_order_relaxed) != 0) overlapped = true;
    if (loop == -1) {
      loop = conn.loop_index();
      thread = std::this_thread::get_id();
    }
    if (thread != std::this_thread::get_id() || loop != conn.loop_index()) moved = true;
  }
  void leave() { inside.fetch_sub(1, std::memory_order_relaxed); }
};

TEST_P(OrderTest, AllEventsOfAConnectionRunOnOneLoopOneAtATime) {
  constexpr int kClients = 8;
  std::mutex mutex;
  std::map<std::uint64_t, Where> where;
  std::vector<Conn> conns;
  EventLog log;
  // While one of these lives, a callback of that connection runs.
  class Inside {
   public:
    Inside(std::mutex& mutex, std::map<std::uint64_t, Where>& where, const Conn& conn) {
      {
        const std::lock_guard lock(mutex);
        place_ = &where[conn.id()];
      }
      place_->enter(conn);
    }
    ~Inside() { place_->leave(); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    Where* place_;
  };
  Events handlers = events();
  note_all(handlers, log);
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    const Inside inside(mutex, where, conn);
    const std::lock_guard lock(mutex);
    conns.push_back(conn);
    log.add(conn, "opened");
    return Action::None;
  };
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    const Inside inside(mutex, where, conn);
    return echo(conn, in, out);
  };
  handlers.closed = [&, closed = handlers.closed](Conn& conn, const Error& err) {
    const Inside inside(mutex, where, conn);
    return closed(conn, err);
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (int i = 0; i < kClients; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(log.wait_for("opened", kClients));
  std::vector<std::thread> wakers;
  for (int t = 0; t < 3; ++t) {
    wakers.emplace_back([&conns] {
      for (int i = 0; i < 300; ++i) conns[static_cast<std::size_t>(i) % conns.size()].wake();
    });
  }
  for (Client& client : clients) {
    client.send_all("ping");
    EXPECT_EQ(client.receive(4), "ping");
  }
  for (std::thread& waker : wakers) waker.join();
  clients.clear();
  ASSERT_TRUE(log.wait_for("closed", kClients));
  std::map<int, std::thread::id> thread_of_loop;
  for (const auto& [id, place] : where) {
    EXPECT_FALSE(place.overlapped) << id;
    EXPECT_FALSE(place.moved) << id;
    EXPECT_GE(place.loop, 0);
    EXPECT_LT(place.loop, loops());
    EXPECT_EQ(thread_of_loop.emplace(place.loop, place.thread).first->second, place.thread);
  }
}

TEST_P(OrderTest, WithoutCallbacksInputIsDiscarded) {
  TestServer server(events(), address());
  Client client = server.connect();
  EXPECT_TRUE(client.send_all(pattern(300'000)));
  client.shutdown_write();
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_TRUE(client.at_end());
  Client open = server.connect();
}

TEST_P(OrderTest, AnyOneCallbackMayBeSetAlone) {
  std::vector<Events> alone(6, events());
  Counter calls;
  const auto count = [&calls] {
    calls.add();
    return Action::None;
  };
  alone[0].opened = [&](Conn&, Output& out, Options&) { return out = "hello", count(); };
  alone[1].closed = [&](Conn&, const Error&) { return count(); };
  alone[2].data = [&](Conn&, const Bytes&, Output&) { return count(); };
  alone[3].tick = [&](std::chrono::nanoseconds& delay) { return delay = std::chrono::hours(1), count(); };
  alone[4].detached = [&](Conn&, DetachedConn) { return count(); };
  alone[5].pre_write = [&] { count(); };
  const std::vector<std::size_t> expected{1, 1, 1, 1, 0, 0};
  for (std::size_t i = 0; i < alone.size(); ++i) {
    const std::size_t before = calls.value();
    TestServer server(alone[i], address());
    Client client = server.connect();
    client.send_all("x");
    client.shutdown_write();
    EXPECT_EQ(client.receive_all(), i == 0 ? "hello" : "");
    // The tick is loop 0's, which may not have begun to run yet.
    EXPECT_TRUE(calls.wait_for(before + expected[i])) << i;
    server.shutdown();
    server.wait();
    EXPECT_EQ(calls.value() - before, expected[i]) << i;
  }
}

}  // namespace
}  // namespace evio::test
