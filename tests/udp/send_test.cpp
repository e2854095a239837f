// Guarantee 16: the Conn of a datagram, kept, and what it sends later and from elsewhere.
#include <algorithm>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "tests/support/datagram_fixture.hpp"

namespace evio::test {
namespace {

class UdpSendTest : public DatagramTest {
 protected:
  // A server that keeps each datagram's Conn, and what it held.
  Events keeping() {
    Events handlers = events();
    handlers.data = [this](Conn& conn, const Bytes& in, Output&) {
      {
        const std::lock_guard lock(mutex_);
        conns_.push_back(conn);
        inputs_.push_back(in);
      }
      kept_.add();
      return Action::None;
    };
    return handlers;
  }
  std::vector<Conn> conns() {
    const std::lock_guard lock(mutex_);
    return conns_;
  }
  std::vector<Bytes> inputs() {
    const std::lock_guard lock(mutex_);
    return inputs_;
  }
  // The Conn of one datagram of `client`.
  Conn conn_of(DatagramClient& client) {
    const std::size_t before = kept_.value();
    client.send("keep me");
    EXPECT_TRUE(kept_.wait_for(before + 1));
    return conns().back();
  }

  Counter kept_;

 private:
  std::mutex mutex_;
  std::vector<Conn> conns_;
  std::vector<Bytes> inputs_;
};
EVIO_INSTANTIATE_DATAGRAMS(UdpSendTest, all_datagram_modes());

TEST_P(UdpSendTest, SendsLaterAndFromEveryThreadWithoutADataCall) {
  TestServer server(keeping(), address());
  DatagramClient client = connect(server);
  const Conn conn = conn_of(client);
  constexpr int kThreads = 4;
  constexpr int kEach = 25;
  std::vector<std::thread> threads;
  for (int t = 0; t != kThreads; ++t) {
    threads.emplace_back([&conn, t] {
      for (int i = 0; i != kEach; ++i) EXPECT_TRUE(conn.send(std::to_string(t) + ":" + std::to_string(i)));
    });
  }
  std::vector<int> next(kThreads);
  for (int i = 0; i != kThreads * kEach; ++i) {
    const std::string text = client.receive_text();
    const std::size_t colon = text.find(':');
    ASSERT_NE(colon, std::string::npos) << text;
    const auto thread = static_cast<std::size_t>(std::stoi(text.substr(0, colon)));
    EXPECT_EQ(std::stoi(text.substr(colon + 1)), next.at(thread)++) << "out of the order one thread sent it in";
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(client.is_quiet());
  EXPECT_EQ(kept_.value(), 1u);
}

TEST_P(UdpSendTest, EveryKindOfBytes) {
  TestServer server(keeping(), address());
  DatagramClient client = connect(server);
  const Conn conn = conn_of(client);
  const std::string text = "a string";
  const Bytes bytes = Bytes::copy("bytes");
  EXPECT_TRUE(conn.send("a literal"));
  EXPECT_TRUE(conn.send(std::string_view("a view")));
  EXPECT_TRUE(conn.send(text));
  EXPECT_TRUE(conn.send(std::string("a string that is moved")));
  EXPECT_TRUE(conn.send(bytes));
  EXPECT_TRUE(conn.send(Bytes::literal("bytes that are moved")));
  EXPECT_TRUE(conn.send(inputs().back()));
  for (const char* expected :
       {"a literal", "a view", "a string", "a string that is moved", "bytes", "bytes that are moved", "keep me"}) {
    EXPECT_EQ(client.receive_text(), expected);
  }
}

TEST_P(UdpSendTest, ReturnsFalseForWhatIsTooLarge) {
  TestServer server(keeping(), address());
  DatagramClient client = connect(server);
  const Conn conn = conn_of(client);
  const std::size_t largest = mode().largest();
  EXPECT_FALSE(conn.send(std::string(largest + 1, 'x')));
  EXPECT_FALSE(conn.send(std::string(1 << 20, 'x')));
  EXPECT_TRUE(conn.send(std::string(largest, 'x')));
  EXPECT_EQ(client.receive_text().size(), largest);
  EXPECT_TRUE(conn.send("the next"));
  EXPECT_EQ(client.receive_text(), "the next");
}

TEST_P(UdpSendTest, ReturnsFalseAfterServeHasReturned) {
  Conn conn;
  {
    TestServer server(keeping(), address());
    DatagramClient client = connect(server);
    conn = conn_of(client);
    server.shutdown();
    EXPECT_FALSE(server.wait());
    EXPECT_FALSE(conn.send("late"));
    EXPECT_FALSE(conn.send(""));
    EXPECT_TRUE(client.is_quiet());
    EXPECT_EQ(conn.remote_addr().port(), client.port());
  }
  EXPECT_FALSE(conn.send("later"));
  EXPECT_FALSE(conn.wake());
  EXPECT_FALSE(conn.close());
  EXPECT_EQ(conn.remote_addr().network(), "udp");
}

TEST_P(UdpSendTest, WhileServeReturnsIsSafe) {
  for (int round = 0; round != 5; ++round) {
    TestServer server(keeping(), address());
    DatagramClient client = connect(server);
    const Conn conn = conn_of(client);
    std::vector<std::thread> threads;
    for (int t = 0; t != 3; ++t) {
      threads.emplace_back([&conn] {
        while (conn.send("on and on")) std::this_thread::yield();
      });
    }
    EXPECT_EQ(client.receive_text(), "on and on");
    server.shutdown();
    EXPECT_FALSE(server.wait());
    for (std::thread& thread : threads) thread.join();
  }
}

TEST_P(UdpSendTest, WakeAndCloseDoNothing) {
  TestServer server(keeping(), address());
  DatagramClient client = connect(server);
  const Conn conn = conn_of(client);
  EXPECT_FALSE(conn.wake());
  EXPECT_FALSE(conn.close());
  EXPECT_TRUE(client.is_quiet());
  EXPECT_EQ(kept_.value(), 1u) << "wake called data";
  EXPECT_TRUE(conn.send("still here"));
  EXPECT_EQ(client.receive_text(), "still here");
}

TEST_P(UdpSendTest, KeptConnsStayWhatTheyAre) {
  TestServer server(keeping(), address());
  std::vector<DatagramClient> clients;
  constexpr std::size_t kClients = 5;
  constexpr std::size_t kEach = 20;
  for (std::size_t i = 0; i != kClients; ++i) clients.push_back(connect(server));
  for (std::size_t n = 0; n != kEach; ++n) {
    for (DatagramClient& client : clients) client.send(client.name() + " " + std::to_string(n));
    ASSERT_TRUE(kept_.wait_for((n + 1) * kClients));
  }
  const std::vector<Conn> kept = conns();
  const std::vector<Bytes> texts = inputs();
  std::set<std::uint64_t> ids;
  const std::set<Conn> ordered(kept.begin(), kept.end());
  const std::unordered_set<Conn> hashed(kept.begin(), kept.end());
  for (const Conn& conn : kept) ids.insert(conn.id());
  EXPECT_EQ(ids.size(), kept.size());
  EXPECT_EQ(ids.count(0), 0u);
  EXPECT_EQ(ordered.size(), kept.size());
  EXPECT_EQ(hashed.size(), kept.size());
  for (std::size_t i = 0; i != kept.size(); ++i) {
    const std::string text = texts[i].str();
    const std::string port = text.substr(0, text.find(' ')).substr(text.find_last_of(':') + 1);
    EXPECT_EQ(std::to_string(kept[i].remote_addr().port()), port);
    EXPECT_TRUE(kept[i].send(text));
  }
  // What was kept of each datagram is unchanged too: each client gets back what it sent.
  for (DatagramClient& client : clients) {
    std::multiset<std::string> expected;
    std::multiset<std::string> got;
    for (std::size_t n = 0; n != kEach; ++n) {
      expected.insert(client.name() + " " + std::to_string(n));
      got.insert(client.receive_text());
    }
    EXPECT_EQ(got, expected);
  }
}

TEST_P(UdpSendTest, AContextIsNotKept) {
  Events handlers = events();
  handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
    EXPECT_EQ(conn.context<int>(), nullptr);
    conn.set_context(7);
    EXPECT_EQ(conn.context<int>(), nullptr);
    out = in;
    return Action::None;
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  for (const char* text : {"one", "two"}) {
    client.send(text);
    EXPECT_EQ(client.receive_text(), text);
  }
}

TEST_P(UdpSendTest, AHandlerMayAssignToItsConn) {
  Conn last;
  std::mutex mutex;
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    const std::lock_guard lock(mutex);
    std::swap(conn, last);
    out = in;
    return Action::None;
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  for (int i = 0; i != 5; ++i) {
    client.send(std::to_string(i));
    EXPECT_EQ(client.receive_text(), std::to_string(i));
    const std::lock_guard lock(mutex);
    EXPECT_EQ(last.remote_addr().port(), client.port());
  }
}

}  // namespace
}  // namespace evio::test
