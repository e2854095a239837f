// Guarantee 12: Shutdown, from wherever it is asked for, ends everything and leaves nothing.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

class ShutdownTest : public ModeTest {
 protected:
  void TearDown() override {
    clients_.clear();
    ModeTest::TearDown();
  }
  Events noted() {
    Events handlers = events();
    note_all(handlers, log_);
    return handlers;
  }
  void connect(TestServer& server, std::size_t n) {
    while (clients_.size() < n) clients_.push_back(server.connect(clients_.size() % server.handle().addrs().size()));
    ASSERT_TRUE(log_.wait_for("opened", n));
  }
  void expect_ended(TestServer& server) {
    EXPECT_FALSE(server.wait()) << server.wait().message();
    EXPECT_EQ(server.thrown(), nullptr);
    EXPECT_EQ(log_.count("opened"), clients_.size());
    EXPECT_EQ(log_.count("closed"), clients_.size()) << "closed with an error, or not at all";
    for (Client& client : clients_) client.receive_all();
  }

  EventLog log_;
  std::vector<Client> clients_;
};
EVIO_INSTANTIATE(ShutdownTest, with_tls(all_modes()));

// Detach is an error over TLS: TlsTest.DetachIsAnError.
class ShutdownDetachTest : public ShutdownTest {};
EVIO_INSTANTIATE(ShutdownDetachTest, all_modes());

// Of TLS, a client whose handshake the shutdown ends has failed.
class ShutdownCrowdTest : public ShutdownTest {};
EVIO_INSTANTIATE(ShutdownCrowdTest, all_modes());

TEST_P(ShutdownTest, FromTheHandleOnAnyThreadOnceOrOften) {
  TestServer server(noted(), {address(), address()});
  connect(server, 10);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 100; ++n) server.handle().shutdown();
    });
  }
  for (std::thread& thread : threads) thread.join();
  expect_ended(server);
  server.handle().shutdown();
  EXPECT_EQ(server.handle().num_loops(), loops());
  EXPECT_EQ(server.handle().addrs().size(), 2u);
  for (Client& client : clients_) EXPECT_TRUE(client.at_end());
}

TEST_P(ShutdownTest, FromTheHandleWithinServing) {
  Events handlers = noted();
  handlers.serving = [](const Server& server) {
    server.shutdown();
    return Action::None;
  };
  TestServer server(handlers, address());
  expect_ended(server);
}

TEST_P(ShutdownTest, FromTheHandleWhileServeReturns) {
  for (int round = 0; round < 20; ++round) {
    TestServer server(events(), address());
    const Server handle = server.handle();
    std::atomic<bool> stop{false};
    std::thread caller([&] {
      while (!stop.load(std::memory_order_relaxed)) handle.shutdown();  // relaxed: nothing else is passed on
    });
    EXPECT_FALSE(server.wait());
    stop = true;
    caller.join();
  }
}

TEST_P(ShutdownTest, FromOpened) {
  Events handlers = noted();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    log_.add(conn, "opened");
    return log_.count("opened") == 6 ? Action::Shutdown : Action::None;
  };
  TestServer server(handlers, address());
  connect(server, 6);
  expect_ended(server);
}

TEST_P(ShutdownTest, FromDataAfterItsOutput) {
  Events handlers = noted();
  handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
    echo(conn, in, out);
    return Action::Shutdown;
  };
  TestServer server(handlers, address());
  connect(server, 6);
  clients_.back().send_all("bye");
  EXPECT_EQ(clients_.back().receive_all(), "bye");
  expect_ended(server);
}

TEST_P(ShutdownTest, FromAWake) {
  Events handlers = noted();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    log_.add(conn, "opened");
    if (log_.count("opened") == 6) conn.wake();
    return Action::None;
  };
  handlers.data = [](Conn&, const Bytes&, Output&) { return Action::Shutdown; };
  TestServer server(handlers, address());
  connect(server, 6);
  expect_ended(server);
}

TEST_P(ShutdownTest, FromClosed) {
  Events handlers = noted();
  handlers.closed = [&, closed = handlers.closed](Conn& conn, const Error& err) {
    closed(conn, err);
    return Action::Shutdown;
  };
  TestServer server(handlers, address());
  connect(server, 6);
  clients_.front().shutdown_write();
  expect_ended(server);
}

TEST_P(ShutdownDetachTest, FromDetached) {
  Events handlers = noted();
  handlers.data = [](Conn&, const Bytes&, Output&) { return Action::Detach; };
  handlers.detached = [&](Conn& conn, DetachedConn) {
    log_.add(conn, "closed");  // for the count: this one ends here
    return Action::Shutdown;
  };
  TestServer server(handlers, address());
  connect(server, 6);
  clients_.front().send_all("x");
  expect_ended(server);
}

TEST_P(ShutdownTest, FromTick) {
  Events handlers = noted();
  handlers.tick = [&](std::chrono::nanoseconds& delay) {
    delay = 1ms;
    return log_.count("opened") == 6 ? Action::Shutdown : Action::None;
  };
  TestServer server(handlers, address());
  connect(server, 6);
  expect_ended(server);
}

// What is ready in the same turn of the loop as the callback that asked for Shutdown comes too late.
class ShutdownInMidTurnTest : public ShutdownTest {
 protected:
  // Keeps the loop in a callback of the first client until go_on_ is opened.
  void hold(TestServer& server) {
    connect(server, 1);
    clients_.front().send_all("hold");
    ASSERT_TRUE(held_.wait());
  }
  Action heed(Conn& conn, const Bytes& in) {
    if (in != "hold") return log_.add(conn, "data"), Action::Shutdown;
    held_.open();
    EXPECT_TRUE(go_on_.wait());
    return Action::None;
  }

  Gate held_;
  Gate go_on_;
};
EVIO_INSTANTIATE(ShutdownInMidTurnTest, modes_of({1}));

TEST_P(ShutdownInMidTurnTest, OthersThatAreReadyGetNoData) {
  Events handlers = noted();
  handlers.data = [&](Conn& conn, const Bytes& in, Output&) { return heed(conn, in); };
  TestServer server(handlers, address());
  connect(server, 6);
  hold(server);
  for (std::size_t i = 1; i < 6; ++i) clients_[i].send_all("x");
  go_on_.open();
  expect_ended(server);
  EXPECT_EQ(log_.count("data"), 1u);
}

TEST_P(ShutdownInMidTurnTest, ThoseThatWaitToBeAcceptedAreNotOpened) {
  Events handlers = noted();
  handlers.data = [&](Conn& conn, const Bytes& in, Output&) { return heed(conn, in); };
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    log_.add(conn, "opened");
    return log_.count("opened") == 2 ? Action::Shutdown : Action::None;
  };
  TestServer server(handlers, address());
  hold(server);
  std::vector<Client> waiting;
  for (int i = 0; i < 6; ++i) waiting.push_back(server.connect());
  go_on_.open();
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(log_.count("opened"), 2u);
  EXPECT_EQ(log_.count("closed"), 2u);
  EXPECT_EQ(log_.count("data"), 0u);
}

// The wake has armed the queue: the shutdown behind it wakes no one, and must be seen all the same.
TEST_P(ShutdownInMidTurnTest, FromOpenedTogetherWithAWakeIsNotLost) {
  Conn first;
  Events handlers = noted();
  handlers.data = [&](Conn& conn, const Bytes& in, Output&) {
    if (in.empty()) return Action::None;
    first = conn;
    return heed(conn, in);
  };
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    log_.add(conn, "opened");
    return log_.count("opened") == 2 ? Action::Shutdown : Action::None;
  };
  TestServer server(handlers, address());
  hold(server);
  EXPECT_TRUE(first.wake());
  clients_.push_back(server.connect());
  go_on_.open();
  expect_ended(server);
}

TEST_P(ShutdownInMidTurnTest, NoTickIsCalled) {
  std::atomic<int> late{0};
  std::atomic<bool> asked{false};
  Events handlers = noted();
  handlers.data = [&](Conn& conn, const Bytes& in, Output&) {
    const Action action = heed(conn, in);
    asked = action == Action::Shutdown;
    return action;
  };
  handlers.tick = [&](std::chrono::nanoseconds&) {
    if (asked) ++late;
    return Action::None;
  };
  TestServer server(handlers, address());
  connect(server, 2);
  clients_.back().send_all("x");
  expect_ended(server);
  EXPECT_EQ(late, 0);
}

TEST_P(ShutdownTest, FromEveryLoopAtOnce) {
  Events handlers = noted();
  handlers.data = [](Conn&, const Bytes&, Output&) { return Action::Shutdown; };
  TestServer server(handlers, address());
  connect(server, 12);
  for (Client& client : clients_) client.send_all("x");
  expect_ended(server);
}

TEST_P(ShutdownCrowdTest, WhileConnectionsPourIn) {
  for (int round = 0; round < 10; ++round) {
    EventLog log;
    Events handlers = events();
    note_all(handlers, log);
    TestServer server(handlers, address());
    std::thread pouring([addr = server.addr()] {
      std::vector<Client> clients;
      do {
        clients.emplace_back(addr, Client::Tuning{.may_be_refused = true});
      } while (clients.back().connected() && clients.size() < 400);
    });
    EXPECT_TRUE(log.wait_for("opened", 5));
    server.shutdown();
    EXPECT_FALSE(server.wait());
    pouring.join();
    std::size_t closed = 0;
    for (const std::string& event : log.all()) closed += event.starts_with("closed") ? 1 : 0;
    EXPECT_EQ(log.count("opened"), closed);
  }
}

}  // namespace
}  // namespace evio::test
