// Guarantee 11: what an exception costs, by the callback it leaves.
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class ExceptionsTest : public ModeTest {
 protected:
  // Events that note everything in log_, "closed" with its message.
  Events noted() {
    Events handlers = events();
    note_all(handlers, log_);
    return handlers;
  }
  static void throw_it() { throw std::runtime_error("no good"); }

  // serve must throw what was thrown, after every connection was closed.
  void expect_rethrown(TestServer& server, std::size_t connections) {
    EXPECT_FALSE(server.wait());
    EXPECT_EQ(server.thrown_message(), "no good");
    EXPECT_EQ(log_.count("opened"), connections);
    std::size_t closed = 0;
    for (const std::string& event : log_.all()) closed += event.starts_with("closed") ? 1 : 0;
    EXPECT_EQ(closed, connections);
  }

  EventLog log_;
};
EVIO_INSTANTIATE(ExceptionsTest, with_tls(all_modes()));

// Detach is an error over TLS: TlsTest.DetachIsAnError.
class ExceptionsDetachTest : public ExceptionsTest {};
EVIO_INSTANTIATE(ExceptionsDetachTest, all_modes());

TEST_P(ExceptionsTest, OneThatLeavesDataClosesThatConnectionAlone) {
  Events handlers = noted();
  handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
    if (in == "boom") throw_it();
    return echo(conn, in, out);
  };
  TestServer server(handlers, address());
  std::vector<Client> others;
  for (int i = 0; i < 5; ++i) others.push_back(server.connect());
  Client client = server.connect();
  client.send_all("fine");
  EXPECT_EQ(client.receive(4), "fine");
  client.send_all("boom");
  EXPECT_EQ(client.receive_all(), "");
  ASSERT_TRUE(log_.wait_for("closed: no good"));
  for (Client& other : others) {
    other.send_all("still here");
    EXPECT_EQ(other.receive(10), "still here");
  }
}

TEST_P(ExceptionsTest, ALackOfMemoryOfTheCallbacksOwnKeepsItsMessage) {
  struct NoRoom : std::bad_alloc {
    const char* what() const noexcept override { return "no room for this order"; }
  };
  Events handlers = noted();
  handlers.data = [](Conn&, const Bytes&, Output&) -> Action { throw NoRoom(); };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("x");
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_TRUE(log_.wait_for("closed: no room for this order"));
}

TEST_P(ExceptionsTest, OneThatLeavesOpenedClosesThatConnectionAlone) {
  Counter calls;
  Events handlers = noted();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    const bool second_call = calls.add() == 2;  // before the test hears of this one, and connects the next
    log_.add(conn, "opened");
    if (second_call) throw_it();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client first = server.connect();
  ASSERT_TRUE(log_.wait_for("opened"));
  Client second = server.connect();
  EXPECT_EQ(second.receive_all(), "");
  ASSERT_TRUE(log_.wait_for("closed: no good"));
  first.send_all("still here");
  EXPECT_EQ(first.receive(10), "still here");
}

TEST_P(ExceptionsTest, OneThatLeavesAWakeClosesThatConnection) {
  Events handlers = noted();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    conn.wake();
    return Action::None;
  };
  handlers.data = [](Conn&, const Bytes&, Output&) -> Action { throw std::runtime_error("no good"); };
  TestServer server(handlers, address());
  Client client = server.connect();
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_TRUE(log_.wait_for("closed: no good"));
}

TEST_P(ExceptionsTest, WhatWasSentBeforeArrives) {
  const std::string large = pattern(3'000'000);
  Events handlers = noted();
  handlers.opened = [&](Conn& conn, Output& out, Options&) {
    out = large;
    conn.wake();
    return Action::None;
  };
  handlers.data = [](Conn&, const Bytes&, Output&) -> Action { throw std::runtime_error("no good"); };
  TestServer server(handlers, address());
  Client client(server.addr(), {.receive_buffer = 131'072});
  EXPECT_TRUE(client.receive_all() == large);
  EXPECT_TRUE(client.at_end());
}

// By callbacks before, by another connection's, and by the call itself: of that only its `out` is lost.
TEST_P(ExceptionsTest, ItsOutIsDroppedAndWhatWasSentArrives) {
  for (const std::string where : {"opened", "data"}) {
    Events handlers = events();
    handlers.opened = [&](Conn& conn, Output& out, Options&) {
      conn.send("hello,");
      out = "out of opened,";
      if (where == "opened") throw_it();
      return Action::None;
    };
    handlers.data = [](Conn& conn, const Bytes&, Output& out) -> Action {
      conn.send("sent,");
      out = "dropped";
      conn.send(std::string(20'000, 'x'));
      out.append(Bytes(std::string(20'000, 'y')));
      throw std::runtime_error("no good");
    };
    TestServer server(handlers, address());
    Client client = server.connect();
    if (where == "data") {
      EXPECT_EQ(client.receive(20), "hello,out of opened,");
      client.send_all("x");
      EXPECT_EQ(client.receive_all(), "sent," + std::string(20'000, 'x'));
    } else {
      EXPECT_EQ(client.receive_all(), "hello,");
    }
    EXPECT_TRUE(client.at_end());
  }
}

TEST_P(ExceptionsTest, OneThatIsNoStdExceptionIsHeldToo) {
  Events handlers = noted();
  handlers.closed = [&](Conn&, const Error& err) {
    log_.add(err ? "failed" : "closed");
    EXPECT_NE(err.message(), "");
    return Action::None;
  };
  handlers.data = [](Conn&, const Bytes&, Output&) -> Action { throw 42; };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("x");
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_TRUE(log_.wait_for("failed"));
}

TEST_P(ExceptionsTest, ServeRethrowsWhatServingThrew) {
  Events handlers = noted();
  handlers.serving = [](const Server&) -> Action { throw std::runtime_error("no good"); };
  handlers.tick = [&](std::chrono::nanoseconds&) {
    log_.add("tick");
    return Action::None;
  };
  TestServer server(handlers, address());
  expect_rethrown(server, 0);
  EXPECT_EQ(log_.all(), EventLog::List{});
}

TEST_P(ExceptionsTest, OneThatLeavesClosedComesOutOfServe) {
  Counter calls;
  Events handlers = noted();
  handlers.closed = [&, closed = handlers.closed](Conn& conn, const Error& err) {
    closed(conn, err);
    if (calls.add() == 1) throw_it();
    return Action::None;
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(log_.wait_for("opened", 6));
  clients.front().close();
  expect_rethrown(server, 6);
}

TEST_P(ExceptionsDetachTest, OneThatLeavesDetachedComesOutOfServe) {
  Events handlers = noted();
  handlers.data = [](Conn&, const Bytes&, Output&) { return Action::Detach; };
  handlers.detached = [&](Conn& conn, DetachedConn) -> Action {
    log_.add(conn, "closed");  // for the count: this one ends here
    throw std::runtime_error("no good");
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(log_.wait_for("opened", 6));
  clients.front().send_all("x");
  expect_rethrown(server, 6);
}

TEST_P(ExceptionsTest, OneThatLeavesPreWriteComesOutOfServe) {
  Events handlers = noted();
  handlers.pre_write = [] { throw_it(); };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(log_.wait_for("opened", 6));
  clients.front().send_all("x");
  expect_rethrown(server, 6);
  EXPECT_EQ(clients.front().receive_all(), "") << "pre_write failed, and yet the bytes have left";
}

TEST_P(ExceptionsTest, OneThatLeavesTickComesOutOfServe) {
  Gate all_opened;
  Events handlers = noted();
  handlers.tick = [&](std::chrono::nanoseconds& delay) {
    if (all_opened.is_open()) throw_it();
    delay = std::chrono::milliseconds(1);
    return Action::None;
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(log_.wait_for("opened", 6));
  all_opened.open();
  expect_rethrown(server, 6);
}

// The first one ends the server, which closes the others: theirs come later.
TEST_P(ExceptionsTest, TheFirstOfManyIsTheOneThatComesOut) {
  Counter closed_so_far;
  Events handlers = noted();
  handlers.closed = [&, closed = handlers.closed](Conn& conn, const Error& err) -> Action {
    closed(conn, err);
    throw std::runtime_error(closed_so_far.add() == 1 ? "no good" : "late");
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(log_.wait_for("opened", 6));
  clients.front().close();
  expect_rethrown(server, 6);
}

}  // namespace
}  // namespace evio::test
