// Guarantee 16: datagrams of one peer keep their order, on one loop, and so does what is sent to it.
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/datagram_fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class UdpOrderTest : public DatagramTest {};
EVIO_INSTANTIATE_DATAGRAMS(UdpOrderTest, all_datagram_modes());

// How many datagrams of a client are on their way at once: more than a batch of the server's, and what all clients
// together send fits the smallest of the sockets' buffers.
constexpr int kWindow = 20;

// What each peer sent, and on which loops it was heard.
class Heard {
 public:
  void add(const Conn& conn, const Bytes& in) {
    const std::lock_guard lock(mutex_);
    Endpoint& peer = peers_[conn.remote_addr().port()];
    peer.texts.push_back(in.str());
    peer.loops.insert(conn.loop_index());
    peer.threads.insert(std::this_thread::get_id());
  }
  struct Endpoint {
    std::vector<std::string> texts;
    std::set<int> loops;
    std::set<std::thread::id> threads;
  };
  std::map<int, Endpoint> peers() const {
    const std::lock_guard lock(mutex_);
    return peers_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<int, Endpoint> peers_;
};

TEST_P(UdpOrderTest, EachPeerIsHeardInOrderOnOneLoop) {
  constexpr int kClients = 8;
  constexpr int kEach = 60;
  Heard heard;
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    heard.add(conn, in);
    return echo(conn, in, out);
  };
  TestServer server(handlers, address());
  std::vector<DatagramClient> clients;
  for (int i = 0; i != kClients; ++i) clients.push_back(connect(server));
  std::vector<std::string> texts;
  for (int n = 0; n != kEach; ++n) texts.push_back(std::to_string(n));
  for (int from = 0; from != kEach; from += kWindow) {
    const std::span<const std::string> window(texts.begin() + from, kWindow);
    for (const std::string& text : window) {
      for (DatagramClient& client : clients) client.send(text);
    }
    for (DatagramClient& client : clients) {
      for (const std::string& text : window) ASSERT_EQ(client.receive_text(), text);
    }
  }
  const auto peers = heard.peers();
  ASSERT_EQ(peers.size(), clients.size());
  for (const auto& [port, peer] : peers) {
    EXPECT_EQ(peer.texts, texts);
    EXPECT_EQ(peer.loops.size(), 1u);
    EXPECT_EQ(peer.threads.size(), 1u);
    EXPECT_GE(*peer.loops.begin(), 0);
    EXPECT_LT(*peer.loops.begin(), loops());
  }
}

TEST_P(UdpOrderTest, OutputsAndSendsInCallbacksLeaveInOrder) {
  constexpr int kEach = 200;
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    const int n = std::stoi(in.str());
    EXPECT_TRUE(n % 3 == 0 || conn.send(in.str() + "a"));
    EXPECT_TRUE(n % 5 != 0 || conn.send(in.str() + "b"));
    if (n % 2 == 0) out = in.str() + "c";
    return Action::None;
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  for (int from = 0; from != kEach; from += kWindow) {
    std::vector<std::string> expected;
    for (int n = from; n != from + kWindow; ++n) {
      const std::string text = std::to_string(n);
      if (n % 3 != 0) expected.push_back(text + "a");
      if (n % 5 == 0) expected.push_back(text + "b");
      if (n % 2 == 0) expected.push_back(text + "c");
      client.send(text);
    }
    for (const std::string& text : expected) ASSERT_EQ(client.receive_text(), text);
  }
  EXPECT_TRUE(client.is_quiet());
}

// While the loop is held, a batch gathers; the answers to its first datagrams leave before what a later callback sends.
TEST_P(UdpOrderTest, ABatchIsAnsweredInOrder) {
  constexpr int kBatch = 40;
  Gate held;
  Counter calls;
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    EXPECT_TRUE(calls.add() != 1 || held.wait());
    out = in;
    EXPECT_TRUE(!(in == "20") || conn.send("before 20"));
    return Action::None;
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  for (int n = 0; n != kBatch; ++n) client.send(std::to_string(n));
  held.open();
  for (int n = 0; n != kBatch; ++n) {
    if (n == 20) {
      EXPECT_EQ(client.receive_text(), "before 20");
    }
    ASSERT_EQ(client.receive_text(), std::to_string(n));
  }
}

// One loop in a callback holds up its own peers only.
TEST_P(UdpOrderTest, LoopsHaveSocketsOfTheirOwnWithReuseport) {
  EventLog log;
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    log.add("loop " + std::to_string(conn.loop_index()));
    return echo(conn, in, out);
  };
  TestServer server(handlers, address());
  EXPECT_EQ(server.handle().addrs().size(), 1u);
  // New peers come until each loop has been heard of: the kernel spreads them by a hash of their ports.
  const std::size_t wanted = mode().reuse_port ? static_cast<std::size_t>(loops()) : 1;
  std::set<std::string> heard;
  for (int i = 0; i != 100 * loops() && heard.size() != wanted; ++i) {
    DatagramClient client = connect(server);
    client.send("ping");
    ASSERT_EQ(client.receive_text(), "ping");
    const EventLog::List all = log.all();
    heard.insert(all.begin(), all.end());
  }
  EXPECT_EQ(heard.size(), wanted);
}

}  // namespace
}  // namespace evio::test
