// What a connection keeps for its user, and handles that are kept for ever.
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

// A context that says when and where it is destroyed. Not copyable: a context need not be.
class Tracked {
 public:
  Tracked(EventLog& log, Conn conn) : log_(&log), conn_(std::move(conn)), made_on_(std::this_thread::get_id()) {}
  Tracked(Tracked&& other) noexcept
      : log_(std::exchange(other.log_, nullptr)), conn_(std::move(other.conn_)), made_on_(other.made_on_) {}
  Tracked& operator=(Tracked&&) = delete;
  ~Tracked() {
    if (log_ != nullptr) {
      log_->add(made_on_ == std::this_thread::get_id() ? "destroyed" : "destroyed on another thread");
    }
  }
  std::string name = "mine";

 private:
  EventLog* log_;
  Conn conn_;  // a handle of the connection itself, in its own context
  std::thread::id made_on_;
};

class ContextTest : public ModeTest {
 protected:
  // Every connection gets a Tracked, whose end is noted among the events.
  Events tracking() {
    Events handlers = events();
    handlers.opened = [this](Conn& conn, Output&, Options&) {
      EXPECT_EQ(conn.context<Tracked>(), nullptr);
      conn.set_context(Tracked(log_, conn));
      log_.add("opened");
      return Action::None;
    };
    handlers.data = [this](Conn& conn, const Bytes& in, Output& out) {
      log_.add("data");
      expect_context(conn);
      return echo(conn, in, out);
    };
    handlers.closed = [this](Conn& conn, const Error&) {
      expect_context(conn);
      log_.add("closed");
      return Action::None;
    };
    return handlers;
  }
  static void expect_context(const Conn& conn) {
    ASSERT_NE(conn.context<Tracked>(), nullptr);
    EXPECT_EQ(conn.context<Tracked>()->name, "mine");
    EXPECT_EQ(conn.context<int>(), nullptr);
  }

  EventLog log_;
};
EVIO_INSTANTIATE(ContextTest, with_tls(all_modes()));

// Detach is an error over TLS: TlsTest.DetachIsAnError.
class ContextDetachTest : public ContextTest {};
EVIO_INSTANTIATE(ContextDetachTest, all_modes());

TEST_P(ContextTest, LastsFromOpenedUntilAfterClosed) {
  TestServer server(tracking(), address());
  {
    Client client = server.connect();
    client.send_all("x");
    EXPECT_EQ(client.receive(1), "x");
  }
  ASSERT_TRUE(log_.wait_for("destroyed"));
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "data", "closed", "destroyed"}));
}

TEST_P(ContextDetachTest, IsDestroyedOnTheLoopAfterDetached) {
  Events handlers = tracking();
  handlers.data = [](Conn&, const Bytes&, Output&) { return Action::Detach; };
  handlers.detached = [this](Conn& conn, DetachedConn) {
    expect_context(conn);
    log_.add("detached");
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("x");
  EXPECT_EQ(client.receive_all(), "");
  ASSERT_TRUE(log_.wait_for("destroyed"));
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "detached", "destroyed"}));
}

TEST_P(ContextTest, IsDestroyedOnTheLoopWhenTheServerShutsDown) {
  std::vector<Client> clients;
  TestServer server(tracking(), address());
  for (int i = 0; i < 6; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(log_.wait_for("opened", 6));
  server.shutdown();
  server.wait();
  EXPECT_EQ(log_.count("destroyed"), 6u);
}

TEST_P(ContextTest, IsCopiedFromALvalueWhetherItsTypeIsNamedOrNot) {
  Gate seen;
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    const std::string text = "a string that is longer than a short one";
    conn.set_context<std::string>(text);
    EXPECT_EQ(*conn.context<std::string>(), text);
    int number = 7;
    conn.set_context<int>(number);
    EXPECT_EQ(*conn.context<int>(), 7);
    conn.set_context(text);
    EXPECT_EQ(*conn.context<std::string>(), text);
    conn.set_context(std::make_unique<int>(8));
    EXPECT_EQ(**conn.context<std::unique_ptr<int>>(), 8);
    seen.open();
    return Action::None;
  };
  TestServer server(handlers, address());
  const Client client = server.connect();
  EXPECT_TRUE(seen.wait());
}

TEST_P(ContextTest, IsDestroyedWhenReplacedAndAtTheEnd) {
  Conn kept;
  Events handlers = tracking();
  handlers.data = [this](Conn& conn, const Bytes& in, Output& out) {
    conn.set_context(std::make_unique<int>(7));  // move-only
    EXPECT_EQ(log_.count("destroyed"), 1u);
    EXPECT_EQ(conn.context<Tracked>(), nullptr);
    EXPECT_EQ(**conn.context<std::unique_ptr<int>>(), 7);
    std::string lvalue = "a string";
    conn.set_context(lvalue);
    EXPECT_EQ(lvalue, "a string");
    EXPECT_EQ(*conn.context<std::string>(), "a string");
    return echo(conn, in, out);
  };
  handlers.closed = [&](Conn& conn, const Error&) {
    EXPECT_EQ(*conn.context<std::string>(), "a string");
    log_.add("closed");
    conn.set_context(Tracked(log_, conn));  // kept or not, it ends with the connection
    kept = conn;
    return Action::None;
  };
  {
    TestServer server(handlers, address());
    Client client = server.connect();
    client.send_all("x");
    EXPECT_EQ(client.receive(1), "x");
    client.close();
    ASSERT_TRUE(log_.wait_for("destroyed", 2));
  }
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "destroyed", "closed", "destroyed"}));  // one for each Tracked
  EXPECT_EQ(kept.context<std::string>(), nullptr);
  kept.set_context(Tracked(log_, Conn()));  // it keeps nothing any more
  EXPECT_EQ(kept.context<Tracked>(), nullptr);
  EXPECT_EQ(log_.count("destroyed"), 3u);
}

class HandleTest : public ModeTest {};
EVIO_INSTANTIATE(HandleTest, with_tls(all_modes()));

TEST_P(HandleTest, IsAKeyAndKeepsNoDescriptorOpen) {
  constexpr std::size_t kConns = 10;
  std::mutex mutex;
  std::set<Conn> ordered;
  std::unordered_map<Conn, int> hashed;
  std::set<std::uint64_t> ids;
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    const std::lock_guard lock(mutex);
    ordered.insert(conn);
    hashed[conn] = conn.loop_index();
    EXPECT_TRUE(ids.insert(conn.id()).second);
    EXPECT_NE(conn.id(), 0u);
    log.add("opened");
    return Action::None;
  };
  handlers.closed = [&](Conn& conn, const Error&) {
    {
      const std::lock_guard lock(mutex);
      EXPECT_TRUE(ordered.contains(conn));
      EXPECT_EQ(hashed.at(conn), conn.loop_index());
    }
    log.add("closed");
    return Action::None;
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (std::size_t i = 0; i < kConns; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(log.wait_for("opened", kConns));
  EXPECT_EQ(ordered.size(), kConns);
  EXPECT_EQ(hashed.size(), kConns);
  const std::size_t open = baseline().new_descriptors().size();
  clients.clear();
  ASSERT_TRUE(log.wait_for("closed", kConns));
  // Both ends of each are gone though all handles are kept.
  EXPECT_TRUE(eventually([&] { return baseline().new_descriptors().size() == open - 2 * kConns; }));
}

TEST_P(HandleTest, StaysHarmlessAfterTheServerIsGone) {
  Conn conn;
  Server handle;
  Addr local;
  Addr remote;
  EventLog log;
  {
    Events handlers = events();
    handlers.opened = [&](Conn& c, Output&, Options&) {
      conn = c;
      local = c.local_addr();
      remote = c.remote_addr();
      log.add("opened");
      return Action::None;
    };
    TestServer server(handlers, address());
    handle = server.handle();
    Client client = server.connect();
    ASSERT_TRUE(log.wait_for("opened"));
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([=] {
      for (int i = 0; i < 100; ++i) {
        const Conn copy = conn;
        EXPECT_FALSE(copy.wake());
        EXPECT_FALSE(copy.send("x"));
        EXPECT_FALSE(copy.close());
        handle.shutdown();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(conn.local_addr(), local);
  EXPECT_EQ(conn.remote_addr(), remote);
  EXPECT_NE(conn.id(), 0u);
  EXPECT_EQ(handle.addrs().size(), 1u);
  EXPECT_EQ(handle.num_loops(), loops());
}

TEST_P(HandleTest, IsUsableWhileItsServerEnds) {
  for (int round = 0; round < 8; ++round) {
    std::mutex mutex;
    std::vector<Conn> conns;
    Counter opened;
    std::atomic<bool> stop{false};
    const auto pester = [&] {
      while (!stop.load(std::memory_order_relaxed)) {  // relaxed: nothing else is passed on
        std::vector<Conn> copies;
        {
          const std::lock_guard lock(mutex);
          copies = conns;
        }
        for (const Conn& conn : copies) {
          conn.send("x");
          conn.wake();
          if (conn.id() % 3 == 0) conn.close();
        }
        std::this_thread::yield();  // a mutex is not fair
      }
    };
    std::thread first(pester);
    std::thread second(pester);
    {
      Events handlers = events();
      handlers.drain_timeout = std::chrono::milliseconds(10);
      handlers.opened = [&](Conn& conn, Output&, Options&) {
        const std::lock_guard lock(mutex);
        conns.push_back(conn);
        opened.add();
        return Action::None;
      };
      TestServer server(handlers, address());
      std::vector<Client> clients;
      for (int i = 0; i < 6; ++i) clients.push_back(server.connect());
      EXPECT_TRUE(opened.wait_for(6)) << opened.value();
      clients.resize(3);
    }
    stop = true;
    first.join();
    second.join();
    for (const Conn& conn : conns) EXPECT_FALSE(conn.wake());
  }
}

TEST(NothingTest, HandlesOfNothingDoNothing) {
  const Conn conn;
  EXPECT_FALSE(conn.wake());
  EXPECT_FALSE(conn.send("x"));
  EXPECT_FALSE(conn.close());
  EXPECT_EQ(conn.id(), 0u);
  EXPECT_EQ(conn.local_addr(), Addr());
  EXPECT_EQ(conn.context<int>(), nullptr);
  conn.set_context(1);
  EXPECT_EQ(conn.context<int>(), nullptr);
  EXPECT_EQ(conn, Conn());
  const Server server;
  server.shutdown();
  EXPECT_TRUE(server.addrs().empty());
  EXPECT_EQ(server.num_loops(), 0);
}

}  // namespace
}  // namespace evio::test
