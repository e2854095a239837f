// Guarantee 6: a peer that ends its side still gets all pending output; then the connection closes.
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class HalfCloseTest : public ModeTest {
 protected:
  static constexpr Client::Tuning kSmall{.receive_buffer = 131'072};
};
EVIO_INSTANTIATE(HalfCloseTest, with_tls(all_modes()));

TEST_P(HalfCloseTest, ThePeerGetsItsWholeReplyAndThenTheEnd) {
  const std::string reply = pattern(6'000'000);
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    EXPECT_EQ(in, "request");
    log.add(conn, "data");
    out = reply;
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  client.send_all("request");
  client.shutdown_write();
  EXPECT_TRUE(client.receive_all() == reply);
  EXPECT_TRUE(client.at_end()) << client.error().message();
  ASSERT_TRUE(log.wait_for("closed"));
  EXPECT_EQ(log.all(), (EventLog::List{"opened", "data", "closed"}));
}

TEST_P(HalfCloseTest, AnswersWhatCameBeforeTheEnd) {
  const std::string sent = pattern(4'000'000);
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  handlers.data = echo;
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  std::string received;
  std::thread sender([&] {
    client.send_all(sent);
    client.shutdown_write();
  });
  received = client.receive_all();
  sender.join();
  EXPECT_TRUE(received == sent) << received.size();
  EXPECT_TRUE(client.at_end()) << client.error().message();
  ASSERT_TRUE(log.wait_for("closed"));
}

TEST_P(HalfCloseTest, WithNothingPendingTheConnectionCloses) {
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  TestServer server(handlers, address());
  Client client = server.connect();
  client.shutdown_write();
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_TRUE(client.at_end());
  ASSERT_TRUE(log.wait_for("closed"));
  EXPECT_EQ(log.all(), (EventLog::List{"opened", "closed"}));
}

TEST_P(HalfCloseTest, SendsMadeBeforeTheEndWasSeenArrive) {
  const std::string large = pattern(3'000'000);
  Conn conn;
  Gate called;
  Gate go_on;
  Events handlers = events();
  handlers.data = [&](Conn& c, const Bytes&, Output& out) {
    conn = c;
    called.open();
    EXPECT_TRUE(go_on.wait());
    out = "reply ";
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  client.send_all("x");
  ASSERT_TRUE(called.wait());
  client.shutdown_write();
  EXPECT_TRUE(conn.send(large));
  EXPECT_TRUE(conn.send("the end"));
  go_on.open();
  const std::string received = client.receive_all();
  // Which of the two threads was first is open; all of it arrives.
  EXPECT_EQ(received.size(), 6 + large.size() + 7);
  EXPECT_NE(received.find("reply "), std::string::npos);
  EXPECT_TRUE(received.find(large + "the end") != std::string::npos);
}

class HalfCloseInMidTurnTest : public ModeTest {};
EVIO_INSTANTIATE(HalfCloseInMidTurnTest, modes_of({1}));

// A callback wakes a connection whose peer's end is read in the same turn, before the loop comes to the wake.
TEST_P(HalfCloseInMidTurnTest, AWakeFromBeforeTheEndWasReadIsAnswered) {
  EventLog log;
  Gate held;
  Gate go_on;
  std::vector<Conn> conns;
  bool woken = false;
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    conns.push_back(conn);
    log.add("opened");
    return Action::None;
  };
  handlers.data = [&](Conn&, const Bytes& in, Output& out) {
    if (in == "hold") {
      held.open();
      EXPECT_TRUE(go_on.wait());
    } else if (in == "wake") {
      woken = conns.back().wake();
    } else {
      out = "left for it";
    }
    return Action::None;
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (std::size_t i = 0; i < 3; ++i) {
    clients.push_back(server.connect());
    ASSERT_TRUE(log.wait_for("opened", i + 1));
  }
  clients[0].send_all("hold");
  ASSERT_TRUE(held.wait());
  clients[1].send_all("wake");
  clients[1].wait_for_arrival();
  clients[2].shutdown_write();
  clients[2].wait_for_arrival();
  go_on.open();
  const std::string received = clients[2].receive_all();
  server.shutdown();
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(received, woken ? "left for it" : "");
  EXPECT_TRUE(woken || mode().poller == PollerKind::kPortable) << "the end was read first: nothing is tested";
}

}  // namespace
}  // namespace evio::test
