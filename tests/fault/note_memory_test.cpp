// Memory runs out in a thread that has a word for a loop: the loop looks for itself what that was about.
#include <atomic>
#include <cstddef>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/fault/failing_memory.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class LostNoteTest : public FailingMemoryTest {
 protected:
  // Calls f on a thread that has nothing of the queue yet and gets no memory for it. Returns what it returned.
  template <class F>
  static bool without_memory(F f) {
    bool result = false;
    fail_allocations(0, 1'000'000);
    std::thread([&] {
      may_fail = true;
      result = f();
      may_fail = false;
    }).join();
    EXPECT_GT(fail_no_more(), 0);
    return result;
  }
};
EVIO_INSTANTIATE(LostNoteTest, modes_of({1, 4}));

TEST_P(LostNoteTest, HearsWakeAndCloseAndRefusesSend) {
  const std::string lost(1000, 'l');  // for which the loop's pool has no memory
  Conn conn;
  Counter opened;
  Counter woken;
  Events handlers = events();
  handlers.opened = [&](Conn& c, Output&, Options&) {
    conn = c;
    opened.add();
    return Action::None;
  };
  handlers.data = [&](Conn&, const Bytes& in, Output&) {
    EXPECT_TRUE(in.empty());
    woken.add();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(opened.wait_for(1));
  for (std::size_t i = 1; i <= 10; ++i) {
    EXPECT_TRUE(without_memory([&] { return conn.wake(); }));
    EXPECT_TRUE(woken.wait_for(i));
    EXPECT_FALSE(without_memory([&] { return conn.send(lost); }));
    EXPECT_TRUE(conn.send("sent"));
    EXPECT_EQ(client.receive(4), "sent");
  }
  EXPECT_TRUE(without_memory([&] { return conn.close(); }));
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_TRUE(client.at_end());
  EXPECT_EQ(woken.value(), 10u);
}

// A callback sends behind what another thread has sent. Whatever is lacking for that, what arrives has no gap.
TEST_P(LostNoteTest, ASendBehindThoseOfOtherThreadsLeavesNoGap) {
  const std::string theirs = pattern(40'000);
  std::atomic<int> nth{0};
  std::atomic<bool> some_failed{true};
  std::atomic<bool> taken{false};
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes&, Output& out) {
    std::thread([&] { EXPECT_TRUE(conn.send(theirs)); }).join();
    fail_allocations(nth);
    may_fail = true;
    taken = conn.send("own ");
    may_fail = false;
    some_failed = fail_no_more() != 0;
    out = "last";
    return Action::Close;
  };
  TestServer server(handlers, address());
  int cut_off = 0;
  for (; some_failed && nth < 20; ++nth) {
    Client client = server.connect();
    client.send_all("go");
    const std::string received = client.receive_all();
    SCOPED_TRACE("after allocation " + std::to_string(nth.load()) + " failed");
    const std::string whole = taken ? theirs + "own last" : theirs + "last";
    EXPECT_TRUE(received == whole || received == "last" + theirs || whole.starts_with(received)) << received.size();
    if (received != whole) ++cut_off;
  }
  // With several loops each connection meets another one, which has other memory left.
  if (loops() == 1) {
    EXPECT_GT(cut_off, 0) << "nothing that matters has failed";
  }
  EXPECT_LT(nth, 20);
}

// A producer that the queue has made by half would never take a note again.
TEST_P(LostNoteTest, AShutdownHoldsThoughTheOutputOfItsCallCannotBeKept) {
  Events handlers = events();
  handlers.data = [](Conn&, const Bytes&, Output& out) {
    out = std::string(20'000'000, 'x');  // more than a socket takes
    fail_allocations(0);
    may_fail = true;
    return Action::Shutdown;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("go");
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(failed_allocations(), 1);
}

TEST_P(LostNoteTest, AThreadCanSendOnceThereIsMemory) {
  Conn conn;
  Counter opened;
  Events handlers = events();
  handlers.opened = [&](Conn& c, Output&, Options&) {
    conn = c;
    opened.add();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(opened.wait_for(1));
  // All of them live until the end: the queue knows a thread by the place of its thread_locals, which the next one
  // gets.
  std::vector<std::thread> threads;
  Counter done;
  Gate over;
  bool some_failed = true;
  int n = 0;
  for (; some_failed && n < 20; ++n) {
    threads.emplace_back([&, n] {
      fail_allocations(n);
      may_fail = true;
      const bool first = conn.send("1");
      may_fail = false;
      some_failed = fail_no_more() != 0;
      EXPECT_TRUE(conn.send("2")) << "after allocation " << n << " failed";
      EXPECT_EQ(client.receive(first ? 2 : 1), first ? "12" : "2");
      done.add();
      EXPECT_TRUE(over.wait());
    });
    if (!done.wait_for(threads.size())) break;
  }
  over.open();
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(n, 2) << "a producer takes more than one allocation";
  EXPECT_LT(n, 20);
}

// A connection for which there is no memory is closed, whichever loop accepts it, and counts for none, nor for a limit.
TEST_P(LostNoteTest, AnAcceptWithoutMemoryKeepsTheBalance) {
  std::mutex mutex;
  std::vector<int> per_loop(static_cast<std::size_t>(loops()));
  Counter opened;
  Counter closed;
  const auto n = static_cast<std::size_t>(loops());
  const std::size_t most = n + 30;
  Events handlers = events();
  handlers.load_balance = LoadBalance::LeastConnections;
  handlers.max_connections = handlers.max_per_ip = static_cast<int>(most);
  handlers.opened = [&](Conn& conn, Output& out, Options&) {
    {
      const Untouched mine;
      const std::lock_guard lock(mutex);
      ++per_loop[static_cast<std::size_t>(conn.loop_index())];
      opened.add();
      out = "+";
    }
    may_fail = true;  // this loop's thread from now on
    return Action::None;
  };
  handlers.data = echo;
  handlers.closed = [&](Conn& conn, const Error&) {
    const Untouched mine;
    const std::lock_guard lock(mutex);
    --per_loop[static_cast<std::size_t>(conn.loop_index())];
    closed.add();
    return Action::None;
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (std::size_t i = 0; i < n; ++i) {
    clients.push_back(server.connect());
    clients.back().send_all("=");
    EXPECT_EQ(clients.back().receive(2), "+=");  // its loop has done all there is to do for it
  }
  fail_allocations(0, 12);  // spread over the loops' threads
  std::vector<Client> unlucky;
  for (int i = 0; i < 30; ++i) unlucky.push_back(server.connect());
  EXPECT_TRUE(eventually([] { return !some_are_to_fail(); }));
  // Each is opened or closed without a word.
  for (Client& client : unlucky) {
    if (client.receive(1) == "+") continue;
    EXPECT_TRUE(client.at_end() || client.error());
  }
  unlucky.clear();
  EXPECT_TRUE(eventually([&] { return opened.value() == closed.value() + n; }));
  for (std::size_t i = 0; i < 2 * n; ++i) {
    clients.push_back(server.connect());
    EXPECT_EQ(clients.back().receive(1), "+");
  }
  {
    const std::lock_guard lock(mutex);
    for (const int count : per_loop) EXPECT_EQ(count, 3);
  }
  while (clients.size() != most) {
    clients.push_back(server.connect());
    EXPECT_EQ(clients.back().receive(1), "+");
  }
}

}  // namespace
}  // namespace evio::test
