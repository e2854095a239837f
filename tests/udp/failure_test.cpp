// Guarantee 16, where something goes wrong: exceptions, peers that are gone, output that is announced.
#include <atomic>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/datagram_fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class UdpFailureTest : public DatagramTest {};
EVIO_INSTANTIATE_DATAGRAMS(UdpFailureTest, all_datagram_modes());

TEST_P(UdpFailureTest, AnExceptionCostsThatDatagram) {
  Events handlers = events();
  handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
    out = in;
    if (in == "throw") throw std::runtime_error("thrown on purpose");
    if (in == "throw a number") throw 7;
    if (in == "send and throw") {
      EXPECT_TRUE(conn.send("sent"));
      throw std::bad_alloc();
    }
    return Action::None;
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  for (const char* text : {"1", "throw", "2", "throw a number", "3", "send and throw", "4"}) client.send(text);
  for (const char* text : {"1", "2", "3", "sent", "4"}) EXPECT_EQ(client.receive_text(), text);
  EXPECT_TRUE(client.is_quiet());
}

TEST_P(UdpFailureTest, APeerThatIsGoneDisturbsNobody) {
  Gate gone;
  Counter received;
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    if (in.view().substr(0, 4) == "gone") {
      received.add();
      EXPECT_TRUE(gone.wait());
      // Each of these calls forth an ICMP port unreachable.
      EXPECT_TRUE(conn.send("to nobody"));
      EXPECT_TRUE(conn.send("to nobody"));
    }
    out = in;
    return Action::None;
  };
  TestServer server(handlers, address());
  DatagramClient stays = connect(server);
  {
    std::vector<DatagramClient> leaving;
    for (int i = 0; i != 3; ++i) {
      leaving.push_back(connect(server));
      leaving.back().send("gone" + std::to_string(i));
    }
    EXPECT_TRUE(received.wait_for(1));
    for (int i = 0; i != 10; ++i) stays.send(std::to_string(i));
  }
  gone.open();
  for (int i = 0; i != 10; ++i) EXPECT_EQ(stays.receive_text(), std::to_string(i));
  EXPECT_TRUE(received.wait_for(3));
  for (int i = 0; i != 10; ++i) {
    stays.send("again");
    EXPECT_EQ(stays.receive_text(), "again");
  }
  EXPECT_TRUE(stays.is_quiet());
}

TEST_P(UdpFailureTest, AKeptConnOfAPeerThatIsGoneDisturbsNobody) {
  Conn kept;
  Gate has_conn;
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    if (in == "keep me") {
      kept = conn;
      has_conn.open();
    }
    return echo(conn, in, out);
  };
  TestServer server(handlers, address());
  DatagramClient stays = connect(server);
  DatagramClient leaves = connect(server);
  leaves.send("keep me");
  ASSERT_TRUE(has_conn.wait());
  leaves.close();
  for (int i = 0; i != 20; ++i) {
    kept.send("to nobody");
    stays.send(std::to_string(i));
    EXPECT_EQ(stays.receive_text(), std::to_string(i));
  }
}

// Idle, the server sleeps, whatever ICMP has told it.
TEST_P(UdpFailureTest, NobodySpins) {
  Events handlers = events();
  handlers.data = echo;
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  client.send("ping");
  EXPECT_EQ(client.receive_text(), "ping");
  client.send("answered to nobody");
  client.close();
  DatagramClient other = connect(server);
  other.send("ping");
  EXPECT_EQ(other.receive_text(), "ping");
  EXPECT_TRUE(all_sleep());
}

TEST_P(UdpFailureTest, PreWriteRunsBeforeAnyAnswerLeaves) {
  Counter announced;
  std::atomic<std::size_t> produced{0};  // each modified by several loops, read when all is over
  std::mutex mutex;
  std::string journal = "\n";
  Gate announce;  // holds the first one up: what leaves before it would be seen
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes& in, Output& out) {
    if (in != "silent") {
      const std::lock_guard lock(mutex);
      journal += in.str() + "\n";
      ++produced;
      out = in;
    }
    return Action::None;
  };
  handlers.pre_write = [&] {
    announced.add();
    EXPECT_TRUE(announce.wait());
    const std::lock_guard lock(mutex);
    journal += "flushed\n";
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  for (int i = 0; i != 50; ++i) {
    client.send("silent");
    client.send(std::to_string(i));
    if (i == 0) {
      EXPECT_TRUE(announced.wait_for(1));
      EXPECT_TRUE(client.is_quiet());
      announce.open();
    }
    EXPECT_EQ(client.receive_text(), std::to_string(i));
    const std::lock_guard lock(mutex);
    EXPECT_NE(journal.find("\n" + std::to_string(i) + "\nflushed\n"), std::string::npos);
  }
  EXPECT_LE(announced.value(), produced.load());
  EXPECT_GE(announced.value(), 50u);
}

TEST_P(UdpFailureTest, WithoutOutputPreWriteIsNotCalled) {
  Counter announced;
  Counter heard;
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes&, Output&) {
    heard.add();
    return Action::None;
  };
  handlers.pre_write = [&] { announced.add(); };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  for (int i = 0; i != 5; ++i) client.send("");
  EXPECT_TRUE(heard.wait_for(5));
  server.shutdown();
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(announced.value(), 0u);
}

TEST_P(UdpFailureTest, AThrowingPreWriteSendsNothing) {
  Events handlers = events();
  handlers.data = echo;
  handlers.pre_write = [] { throw std::runtime_error("the disk is full"); };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  client.send("ping");
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(server.thrown_message(), "the disk is full");
  EXPECT_TRUE(client.is_quiet());
}

// Those that were taken in together with the one that asks for Shutdown come too late.
TEST_P(UdpFailureTest, AfterShutdownNoOtherOfTheBatchIsHeard) {
  Gate held;
  Gate go_on;
  Counter heard;
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes& in, Output&) {
    if (in == "hold") {
      held.open();
      EXPECT_TRUE(go_on.wait());
      return Action::None;
    }
    heard.add();
    return Action::Shutdown;
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  client.send("hold");
  ASSERT_TRUE(held.wait());
  for (int i = 0; i != 5; ++i) client.send("stop");
  go_on.open();
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(heard.value(), 1u);
}

TEST_P(UdpFailureTest, ShutdownComesFromAnywhere) {
  Events handlers = events();
  handlers.data = [](Conn&, const Bytes&, Output&) { return Action::Shutdown; };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  for (int i = 0; i != 100; ++i) client.send("stop");
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(server.thrown_message(), "");
}

}  // namespace
}  // namespace evio::test
