// Guarantee 6: a peer that ends its side still gets all pending output; then the connection closes.
#include <string>
#include <thread>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class HalfCloseTest : public ModeTest {
 protected:
  static constexpr Client::Tuning kSmall{.receive_buffer = 131'072};
};
EVIO_INSTANTIATE(HalfCloseTest, all_modes());

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

TEST_P(HalfCloseTest, WhatThePeerSentBeforeItsEndIsAnsweredWhileItDoesNotRead) {
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

}  // namespace
}  // namespace evio::test
