// Guarantee 4: an action acts after all output before it; what comes after it changes nothing.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class ActionsTest : public ModeTest {
 protected:
  static constexpr std::size_t kMoreThanSocketsHold = 8'000'000;
  static constexpr Client::Tuning kSmall{.receive_buffer = 131'072};
};
EVIO_INSTANTIATE(ActionsTest, with_tls(all_modes()));

// In `serving` a client connects, and nobody shakes hands with it: no loop runs yet.
class ServingActionsTest : public ActionsTest {};
EVIO_INSTANTIATE(ServingActionsTest, all_modes());

TEST_P(ActionsTest, CloseSendsEveryByteAndThenTheEnd) {
  const std::string large = pattern(kMoreThanSocketsHold);
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  handlers.data = [&](Conn&, const Bytes&, Output& out) {
    out = large;
    return Action::Close;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  client.send_all("x");
  EXPECT_TRUE(client.receive_all() == large);
  EXPECT_TRUE(client.at_end()) << client.error().message();
  EXPECT_TRUE(log.wait_for("closed"));
}

// Sends until the server does not take it any more, or says that it should stop.
void keep_sending(Client& client, const std::atomic<bool>& stop) {
  const std::string piece(10'000, 'p');
  while (!stop.load(std::memory_order_relaxed)) {  // relaxed: nothing else is passed on
    if (!client.send_all(piece)) return;
  }
}

TEST_P(ActionsTest, CloseDeliversEveryByteToAPeerThatSends) {
  const std::string reply = pattern(300'000);
  for (int round = 0; round < 5; ++round) {
    Events handlers = events();
    Counter calls;
    handlers.data = [&](Conn&, const Bytes&, Output& out) {
      calls.add();
      out = reply;
      return Action::Close;
    };
    TestServer server(handlers, address());
    Client client = server.connect();
    std::atomic<bool> stop{false};
    std::thread sender([&] { keep_sending(client, stop); });
    EXPECT_TRUE(client.receive_all() == reply);
    EXPECT_TRUE(client.at_end()) << client.error().message();
    stop = true;
    sender.join();
    EXPECT_EQ(calls.value(), 1u);
  }
}

TEST_P(ActionsTest, ClosedComesBeforeThePeerSeesTheEnd) {
  Gate closed;
  Gate go_on;
  Events handlers = events();
  handlers.data = [](Conn&, const Bytes&, Output& out) {
    out = "the last words";
    return Action::Close;
  };
  handlers.closed = [&](Conn&, const Error& err) {
    EXPECT_FALSE(err) << err.message();
    closed.open();
    EXPECT_TRUE(go_on.wait());
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("x");
  ASSERT_TRUE(closed.wait());
  EXPECT_EQ(client.receive(14), "the last words");
  EXPECT_TRUE(client.is_quiet());
  go_on.open();
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_TRUE(client.at_end());
}

TEST_P(ActionsTest, AfterCloseNothingIsTakenAndNoDataIsCalled) {
  Conn conn;
  Gate asked;
  EventLog log;
  const std::string large = pattern(kMoreThanSocketsHold);
  Events handlers = events();
  note_all(handlers, log);
  handlers.data = [&](Conn& c, const Bytes&, Output& out) {
    log.add(c, "data");
    out = large;
    conn = c;
    asked.open();
    return Action::Close;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  client.send_all("x");
  ASSERT_TRUE(asked.wait());
  // The callback may not have returned yet, so that a wake is taken; then it is not delivered.
  ASSERT_TRUE(eventually([&] { return !conn.wake(); }));
  client.send_all("input that no one gets");
  EXPECT_FALSE(conn.send("never"));
  EXPECT_FALSE(conn.close());
  EXPECT_TRUE(client.receive_all() == large);
  ASSERT_TRUE(log.wait_for("closed"));
  EXPECT_FALSE(conn.close());
  EXPECT_EQ(log.all(), (EventLog::List{"opened", "data", "closed"}));
}

TEST_P(ActionsTest, CloseInACallbackSendsItsOutputAndNoMore) {
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  handlers.data = [&](Conn& conn, const Bytes&, Output& out) {
    log.add(conn, "data");
    EXPECT_TRUE(conn.send("taken, "));
    EXPECT_TRUE(conn.close());
    EXPECT_FALSE(conn.close());
    EXPECT_FALSE(conn.send("never"));
    EXPECT_FALSE(conn.wake());
    out = "sent";
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("x");
  EXPECT_EQ(client.receive_all(), "taken, sent");
  EXPECT_TRUE(client.at_end());
  ASSERT_TRUE(log.wait_for("closed"));
  EXPECT_EQ(log.all(), (EventLog::List{"opened", "data", "closed"}));
}

TEST_P(ActionsTest, AnEarlierWakeDoesNotCancelClose) {
  const std::string large = pattern(kMoreThanSocketsHold);
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  handlers.data = [&](Conn& conn, const Bytes&, Output& out) -> Action {
    log.add(conn, "data");
    if (log.count("data") > 1) return Action::None;
    EXPECT_TRUE(conn.wake());
    out = large;
    return Action::Close;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  client.send_all("x");
  EXPECT_TRUE(client.receive_all() == large);
  EXPECT_TRUE(client.at_end());
  ASSERT_TRUE(log.wait_for("closed"));
  EXPECT_EQ(log.all(), (EventLog::List{"opened", "data", "closed"}));
}

TEST_P(ActionsTest, AWakeFromBeforeCloseIsNotDeliveredAfterClose) {
  Conn conn;
  Gate opened;
  Gate go_on;
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  handlers.opened = [&](Conn& c, Output&, Options&) {
    log.add(c, "opened");
    conn = c;
    opened.open();
    EXPECT_TRUE(go_on.wait());
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(opened.wait());
  EXPECT_TRUE(conn.wake());
  EXPECT_TRUE(conn.close());
  go_on.open();
  EXPECT_EQ(client.receive_all(), "");
  ASSERT_TRUE(log.wait_for("closed"));
  EXPECT_EQ(log.all(), (EventLog::List{"opened", "closed"}));
}

TEST_P(ActionsTest, ALaterNoneDoesNotCancelClose) {
  const std::string large = pattern(kMoreThanSocketsHold);
  Conn conn;
  Gate asked;
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  handlers.opened = [&](Conn& c, Output& out, Options&) {
    log.add(c, "opened");
    out = large;
    conn = c;
    asked.open();
    return Action::Close;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(asked.wait());
  for (int i = 0; i < 100; ++i) conn.wake();
  client.send_all("input that would be answered with None");
  EXPECT_TRUE(client.receive_all() == large);
  EXPECT_TRUE(client.at_end());
  ASSERT_TRUE(log.wait_for("closed"));
  EXPECT_EQ(log.count("opened"), 1u);
  EXPECT_EQ(log.count("closed"), 1u);
}

TEST_P(ActionsTest, CloseOnOneConnectionLeavesTheOthersAlone) {
  Events handlers = events();
  handlers.data = [](Conn&, const Bytes& in, Output& out) {
    out = in;
    return in == "bye" ? Action::Close : Action::None;
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (int i = 0; i < 9; ++i) clients.push_back(server.connect());
  for (std::size_t i = 0; i < clients.size(); i += 2) {
    clients[i].send_all("bye");
    EXPECT_EQ(clients[i].receive_all(), "bye");
  }
  for (std::size_t i = 1; i < clients.size(); i += 2) {
    clients[i].send_all("hey");
    EXPECT_EQ(clients[i].receive(3), "hey");
  }
}

// The loop lingers after Close for a second; a peer that never ends must not keep the connection longer, nor the
// server.
TEST_P(ActionsTest, APeerThatNeverEndsItsSideIsNotKeptForEver) {
  Events handlers = events();
  handlers.opened = [](Conn&, Output& out, Options&) {
    out = "bye";
    return Action::Close;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  EXPECT_EQ(client.receive_all(), "bye");
  const auto sockets_of_server = [&] {
    std::size_t count = 0;
    for (const auto& [fd, target] : baseline().new_descriptors()) count += target.starts_with("socket:") ? 1 : 0;
    return count;
  };
  // The listener and this client's own socket are what remains.
  EXPECT_TRUE(eventually([&] { return sockets_of_server() == 2; }));
}

TEST_P(ServingActionsTest, ShutdownFromServingReturnsAtOnce) {
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  std::vector<Client> clients;
  handlers.serving = [&](const Server& server) {
    log.add("serving");
    clients.emplace_back(server.addrs().front());
    clients.back().send_all("x");
    return Action::Shutdown;
  };
  handlers.tick = [&](std::chrono::nanoseconds&) {
    log.add("tick");
    return Action::None;
  };
  TestServer server(handlers, address());
  EXPECT_FALSE(server.wait()) << server.wait().message();
  EXPECT_EQ(log.all(), EventLog::List{"serving"});
  EXPECT_EQ(clients.front().receive_all(), "");
}

}  // namespace
}  // namespace evio::test
