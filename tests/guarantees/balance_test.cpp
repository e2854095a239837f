// Guarantee 9: which loop gets a connection, and that a busy loop keeps no other from accepting.
#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"
#include "tests/support/process.hpp"

namespace evio::test {
namespace {

// Notes on which loop each connection was opened, in the order they were opened.
class Loops {
 public:
  void watch(Events& events) {
    events.opened = [this](Conn& conn, Output&, Options&) {
      const std::lock_guard lock(mutex_);
      loops_.push_back(conn.loop_index());
      count.add();
      return Action::None;
    };
  }
  std::vector<int> all() const {
    const std::lock_guard lock(mutex_);
    return loops_;
  }
  std::vector<int> per_loop(int loops) const {
    std::vector<int> counts(static_cast<std::size_t>(loops));
    for (const int loop : all()) ++counts[static_cast<std::size_t>(loop)];
    return counts;
  }
  Counter count;

 private:
  mutable std::mutex mutex_;
  std::vector<int> loops_;
};

class BalanceTest : public ModeTest {
 protected:
  Events balanced(LoadBalance how) {
    Events handlers = events();
    handlers.load_balance = how;
    watched_.watch(handlers);
    handlers.data = echo;
    return handlers;
  }
  Loops watched_;
};
EVIO_INSTANTIATE(BalanceTest, all_modes());

TEST_P(BalanceTest, RoundRobinCountsOverAllListeners) {
  TestServer server(balanced(LoadBalance::RoundRobin), {address(), address(), address()});
  std::vector<Client> clients;
  for (std::size_t i = 0; i < 25; ++i) {
    clients.push_back(server.connect(i * i % 3));
    ASSERT_TRUE(watched_.count.wait_for(i + 1));
    if (i % 4 == 3) clients.erase(clients.begin());  // one that is gone counts all the same
  }
  const std::vector<int> got = watched_.all();
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], static_cast<int>(i) % loops()) << i;
}

TEST_P(BalanceTest, RoundRobinIsExactAlsoForABurst) {
  TestServer server(balanced(LoadBalance::RoundRobin), {address(), address()});
  std::vector<std::thread> threads;
  const auto each = static_cast<std::size_t>(loops()) * 5;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::vector<Client> clients;
      for (std::size_t i = 0; i < each; ++i) clients.push_back(server.connect(t % 2));
      EXPECT_TRUE(watched_.count.wait_for(4 * each));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(watched_.per_loop(loops()), std::vector<int>(static_cast<std::size_t>(loops()), 20));
}

TEST_P(BalanceTest, LeastConnectionsGoesToALoopThatHasTheFewest) {
  EventLog log;
  Events handlers = balanced(LoadBalance::LeastConnections);
  handlers.closed = [&](Conn&, const Error&) {
    log.add("closed");
    return Action::None;
  };
  TestServer server(handlers, address());
  // Three rounds fill every loop evenly, in whatever order within a round.
  const auto n = static_cast<std::size_t>(loops());
  std::vector<Client> clients;
  for (std::size_t i = 0; i < 3 * n; ++i) {
    clients.push_back(server.connect());
    ASSERT_TRUE(watched_.count.wait_for(i + 1));
    const std::vector<int> counts = watched_.per_loop(loops());
    EXPECT_LE(std::ranges::max(counts) - std::ranges::min(counts), 1) << i;
  }
  // Where one leaves, the next one goes: the last loop first, for the first would be taken anyway. The echo comes from
  // that loop after it is done with the one that left.
  const std::vector<int> loop_of = watched_.all();
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t leaving = n - 1 - i;
    const int loop = loop_of[leaving];
    clients[leaving].close();
    ASSERT_TRUE(log.wait_for("closed", i + 1));
    const auto other = static_cast<std::size_t>(
        std::find(loop_of.begin() + static_cast<std::ptrdiff_t>(2 * n), loop_of.end(), loop) - loop_of.begin());
    ASSERT_LT(other, clients.size());
    clients[other].send_all("x");
    ASSERT_EQ(clients[other].receive(1), "x");
    clients.push_back(server.connect());
    ASSERT_TRUE(watched_.count.wait_for(3 * n + i + 1));
    EXPECT_EQ(watched_.all().back(), loop);
  }
}

TEST_P(BalanceTest, LeastConnectionsCountsADetachedOneNoMore) {
  EventLog log;
  Events handlers = balanced(LoadBalance::LeastConnections);
  handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
    return in == "detach" ? Action::Detach : echo(conn, in, out);
  };
  handlers.detached = [&](Conn&, const DetachedConn&) {
    log.add("detached");
    return Action::None;
  };
  TestServer server(handlers, address());
  const auto n = static_cast<std::size_t>(loops());
  std::vector<Client> clients;
  for (std::size_t i = 0; i < 2 * n; ++i) {
    clients.push_back(server.connect());
    ASSERT_TRUE(watched_.count.wait_for(i + 1));
  }
  // The last loop first: the first one would be taken anyway. The echo comes from that loop when `detached` has
  // returned.
  const std::vector<int> loop_of = watched_.all();
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t leaving = n - 1 - i;
    clients[leaving].send_all("detach");
    ASSERT_TRUE(log.wait_for("detached", i + 1));
    const auto other = static_cast<std::size_t>(
        std::find(loop_of.begin() + static_cast<std::ptrdiff_t>(n), loop_of.end(), loop_of[leaving]) - loop_of.begin());
    ASSERT_LT(other, clients.size());
    clients[other].send_all("x");
    ASSERT_EQ(clients[other].receive(1), "x");
    clients.push_back(server.connect());
    ASSERT_TRUE(watched_.count.wait_for(2 * n + i + 1));
    EXPECT_EQ(watched_.all().back(), loop_of[leaving]);
  }
}

TEST_P(BalanceTest, RandomSpreadsEvenly) {
  constexpr int kEach = 100;
  TestServer server(balanced(LoadBalance::Random), address());
  const auto n = static_cast<std::size_t>(loops());
  // A few at a time: all of them together may be more than a process may have open.
  std::vector<Client> clients;
  for (std::size_t i = 0; i < kEach * n; ++i) {
    clients.push_back(server.connect());
    if (clients.size() < 50) continue;
    ASSERT_TRUE(watched_.count.wait_for(i + 1));
    clients.clear();
  }
  ASSERT_TRUE(watched_.count.wait_for(kEach * n));
  // With 4 loops the deviation of one of them is 8.7: half and double are beyond chance.
  for (const int count : watched_.per_loop(loops())) {
    EXPECT_GT(count, kEach / 2);
    EXPECT_LT(count, kEach * 2);
  }
}

class SourceAddrHashTest : public BalanceTest {
 protected:
  void TearDown() override {
    clients_.clear();
    BalanceTest::TearDown();
  }
  // Connects from this address, and waits until it is opened. Returns its loop.
  int loop_of(const TestServer& server, const std::string& source, std::size_t address = 0) {
    clients_.emplace_back(server.addr(address), Client::Tuning{.source = source.c_str()});
    EXPECT_TRUE(watched_.count.wait_for(++connected_));
    return watched_.all().back();
  }

  std::vector<Client> clients_;
  std::size_t connected_ = 0;
};
EVIO_INSTANTIATE(SourceAddrHashTest, modes_of(Network::kTcp));

TEST_P(SourceAddrHashTest, OnePeerAlwaysHasTheSameLoopAndPeersAreSpread) {
  TestServer server(balanced(LoadBalance::SourceAddrHash), {address(), address()});
  std::vector<int> peers(static_cast<std::size_t>(loops()));
  for (int i = 1; i <= 32; ++i) {
    const std::string source = "127.0.0." + std::to_string(i);
    const int loop = loop_of(server, source);
    ++peers[static_cast<std::size_t>(loop)];
    for (const std::size_t listener : {0u, 1u, 1u}) EXPECT_EQ(loop_of(server, source, listener), loop) << source;
  }
  for (const int count : peers) EXPECT_GT(count, 0);
}

// The kernel's own choice counts for nothing.
TEST_P(SourceAddrHashTest, HoldsWithReuseport) {
  TestServer server(balanced(LoadBalance::SourceAddrHash), address() + "?reuseport=true");
  for (int i = 1; i <= 8; ++i) {
    const std::string source = "127.0.0." + std::to_string(i);
    const int loop = loop_of(server, source);
    for (int k = 0; k < 4; ++k) EXPECT_EQ(loop_of(server, source), loop) << source;
  }
}

TEST_P(SourceAddrHashTest, AnIPv4PeerIsTheSameOnASocketOfBothFamilies) {
  const std::string both = mode().scheme() + "://[::]:0";
  TestServer server(balanced(LoadBalance::SourceAddrHash), {address(), both});
  for (int i = 1; i <= 16; ++i) {
    const std::string source = "127.0.0." + std::to_string(i);
    const int loop = loop_of(server, source);
    EXPECT_EQ(loop_of(server, source, 1), loop) << source;
  }
}

class UnixSourceTest : public BalanceTest {};
EVIO_INSTANTIATE(UnixSourceTest, modes_of(Network::kUnix));

TEST_P(UnixSourceTest, WithoutAnAddressTheyGoRound) {
  TestServer server(balanced(LoadBalance::SourceAddrHash), address());
  std::vector<Client> clients;
  for (std::size_t i = 0; i < 12; ++i) {
    clients.push_back(server.connect());
    ASSERT_TRUE(watched_.count.wait_for(i + 1));
    EXPECT_EQ(watched_.all().back(), static_cast<int>(i) % loops());
  }
}

class BlockedLoopTest : public BalanceTest {
 protected:
  // With one loop blocked in a callback, connects more and expects that only those for that loop wait.
  void expect_others_served(LoadBalance how) {
    Gate blocked;
    Gate go_on;
    Events handlers = balanced(how);
    handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
      if (in == "block") {
        blocked.open();
        EXPECT_TRUE(go_on.wait());
      }
      return echo(conn, in, out);
    };
    TestServer server(handlers, address());
    const auto n = static_cast<std::size_t>(loops());
    const std::size_t more = 4 * n;
    std::vector<Client> clients;
    clients.push_back(server.connect());
    clients.back().send_all("block");
    ASSERT_TRUE(blocked.wait());
    for (std::size_t i = 0; i < more; ++i) clients.push_back(server.connect());
    // Every loop gets 4 of them, or 5 with the one before: no more than that wait.
    EXPECT_TRUE(watched_.count.wait_for(1 + more - 4)) << "only " << watched_.count.value() << " were opened";
    const int blocked_loop = watched_.all().front();
    const std::vector<int> opened = watched_.all();
    for (std::size_t i = 1; i < opened.size(); ++i) EXPECT_NE(opened[i], blocked_loop);
    go_on.open();
    EXPECT_TRUE(watched_.count.wait_for(1 + more));
    for (Client& client : clients) {
      client.send_all("x");
      EXPECT_NE(client.receive(1), "");
    }
  }
};
EVIO_INSTANTIATE(BlockedLoopTest, modes_of({4}));

TEST_P(BlockedLoopTest, StallsNoAcceptWithRoundRobin) { expect_others_served(LoadBalance::RoundRobin); }
TEST_P(BlockedLoopTest, StallsNoAcceptWithLeastConnections) { expect_others_served(LoadBalance::LeastConnections); }

class CrowdTest : public BalanceTest {};
EVIO_INSTANTIATE(CrowdTest, modes_of({1}));

// Accepts come first in a turn, but only so many.
TEST_P(CrowdTest, DoesNotStarveOpenConnections) {
  constexpr std::size_t kCrowd = 100;  // more than one batch
  Gate blocked;
  Gate go_on;
  std::size_t opened_before = 0;
  Events handlers = balanced(LoadBalance::Random);
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    if (in == "block") {
      blocked.open();
      EXPECT_TRUE(go_on.wait());
    } else {
      opened_before = watched_.count.value();
    }
    return echo(conn, in, out);
  };
  TestServer server(handlers, address());
  Client first = server.connect();
  Client second = server.connect();
  ASSERT_TRUE(watched_.count.wait_for(2));
  first.send_all("block");
  ASSERT_TRUE(blocked.wait());
  std::vector<Client> crowd;
  for (std::size_t i = 0; i < kCrowd; ++i) crowd.push_back(server.connect());
  second.send_all("x");
  go_on.open();
  EXPECT_EQ(second.receive(1), "x");
  EXPECT_LT(opened_before, kCrowd);
  EXPECT_TRUE(watched_.count.wait_for(2 + kCrowd));
}

class SharedListenerTest : public ServerTest {};

// What /proc/self/fdinfo says of an epoll: "tfd: 5 events: 10000001 ..." (proc(5)).
std::map<int, std::vector<unsigned long>> interests_of_epolls() {
  std::map<int, std::vector<unsigned long>> by_fd;
  for (const int epoll : descriptors_of("anon_inode:[eventpoll]")) {
    for (const std::string& line : lines_of("/proc/self/fdinfo/" + std::to_string(epoll))) {
      if (!line.starts_with("tfd:")) continue;
      const int fd = std::stoi(line.substr(4));
      by_fd[fd].push_back(std::stoul(line.substr(line.find("events:") + 7), nullptr, 16));
    }
  }
  return by_fd;
}

std::vector<int> listening_sockets() {
  std::vector<int> found;
  for (const int fd : descriptors_of("socket:")) {
    int listening = 0;
    socklen_t size = sizeof(listening);
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening != 0) found.push_back(fd);
  }
  return found;
}

TEST_F(SharedListenerTest, IsWatchedExclusivelyByEveryLoop) {
  constexpr unsigned long kExclusive = 1ul << 28;  // EPOLLEXCLUSIVE
  TestServer server({.num_loops = 4}, {"tcp://127.0.0.1:0", "unix://" + path("s")});
  const auto interests = interests_of_epolls();
  const std::vector<int> listeners = listening_sockets();
  EXPECT_EQ(listeners.size(), 2u);
  for (const int fd : listeners) {
    ASSERT_TRUE(interests.contains(fd));
    EXPECT_EQ(interests.at(fd).size(), 4u);
    for (const unsigned long events : interests.at(fd)) EXPECT_NE(events & kExclusive, 0u);
  }
}

class ReuseportTest : public ModeTest {};
EVIO_INSTANTIATE(ReuseportTest, modes_of(Network::kTcp));

TEST_P(ReuseportTest, EachLoopHasASocketOfItsOwnOnOnePort) {
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  TestServer server(handlers, address() + "?reuseport=true");
  ASSERT_EQ(server.handle().addrs().size(), 1u);
  EXPECT_GT(server.addr().port(), 0);
  const std::vector<int> listeners = listening_sockets();
  EXPECT_EQ(listeners.size(), static_cast<std::size_t>(loops()));
  for (const int fd : listeners) {
    int reuseport = 0;
    socklen_t size = sizeof(reuseport);
    ::getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &reuseport, &size);
    EXPECT_EQ(reuseport, 1);
  }
  std::vector<Client> clients;
  for (int i = 0; i < 40; ++i) clients.push_back(server.connect());
  for (Client& client : clients) {
    client.send_all("ping");
    EXPECT_EQ(client.receive(4), "ping");
  }
}

TEST_P(ReuseportTest, RoundRobinIsExactThere) {
  Loops watched;
  Events handlers = events();
  handlers.load_balance = LoadBalance::RoundRobin;
  watched.watch(handlers);
  TestServer server(handlers, address() + "?reuseport=1");
  std::vector<Client> clients;
  for (std::size_t i = 0; i < 20; ++i) {
    clients.push_back(server.connect());
    ASSERT_TRUE(watched.count.wait_for(i + 1));
  }
  const std::vector<int> got = watched.all();
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], static_cast<int>(i) % loops()) << i;
}

}  // namespace
}  // namespace evio::test
