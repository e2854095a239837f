// A loop that is busy, and a process that has run out of descriptors, keep no one waiting who could be served.
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"
#include "tests/support/process.hpp"

namespace evio::test {
namespace {

class BlockedLoopRegressionTest : public ModeTest {
 protected:
  // A server one of whose loops is held up by the first client, until go_on_ is opened.
  Events with_a_blocking_loop(LoadBalance balance) {
    Events handlers = events();
    handlers.load_balance = balance;
    handlers.opened = [this](Conn& conn, Output&, Options&) {
      const std::lock_guard lock(mutex_);
      loops_.push_back(conn.loop_index());
      opened_.add();
      return Action::None;
    };
    handlers.data = [this](Conn& conn, const Bytes& in, Output& out) {
      if (in == "block") {
        blocked_.open();
        EXPECT_TRUE(go_on_.wait());
      }
      return echo(conn, in, out);
    };
    return handlers;
  }

  // Those of other loops are accepted and answered while one is blocked, its own when it goes on.
  void expect_others_served(LoadBalance balance) {
    TestServer server(with_a_blocking_loop(balance), address());
    std::vector<Client> clients;
    clients.push_back(server.connect());
    clients.back().send_all("block");
    const OpensAtEnd opens(go_on_);
    ASSERT_TRUE(blocked_.wait());
    const auto n = static_cast<std::size_t>(loops());
    for (std::size_t i = 0; i < 8 * n; ++i) {
      clients.push_back(server.connect());
      clients.back().send_all("x");
    }
    const std::size_t others = 8 * (n - 1);
    ASSERT_TRUE(opened_.wait_for(1 + others)) << "only " << opened_.value() << " were opened";
    EXPECT_EQ(opened_.value(), 1 + others) << "the blocked loop has opened some";
    EXPECT_EQ(count_answered(clients, others), others);
    go_on_.open();
    EXPECT_TRUE(opened_.wait_for(1 + 8 * n));
    EXPECT_EQ(clients.front().receive(5), "block");
    EXPECT_EQ(count_answered(clients, 8), 8u);
    const std::lock_guard lock(mutex_);
    for (int loop = 0; loop < loops(); ++loop) {
      const auto share = static_cast<std::size_t>(std::ranges::count(loops_, loop));
      EXPECT_EQ(share, loop == loops_.front() ? 9u : 8u) << "on loop " << loop;
    }
  }

  // Waits for `expected` of them to have an answer, which is taken.
  static std::size_t count_answered(std::vector<Client>& clients, std::size_t expected) {
    std::size_t answered = 0;
    [[maybe_unused]] const bool all = eventually([&] {
      for (Client& client : clients) {
        char byte = 0;
        if (::recv(client.fd(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 1 && byte == 'x') {
          client.receive(1);
          ++answered;
        }
      }
      return answered >= expected;
    });
    return answered;
  }

  std::mutex mutex_;
  std::vector<int> loops_;
  Counter opened_;
  Gate blocked_;
  Gate go_on_;
};
EVIO_INSTANTIATE(BlockedLoopRegressionTest, modes_of({4}));

TEST_P(BlockedLoopRegressionTest, RoundRobinStallsNoOtherLoop) { expect_others_served(LoadBalance::RoundRobin); }

// The blocked loop's own count is fixed by then: one from before and eight of those to come.
TEST_P(BlockedLoopRegressionTest, LeastConnectionsStallsNoOtherLoop) {
  Events handlers = with_a_blocking_loop(LoadBalance::LeastConnections);
  TestServer server(handlers, address());
  std::vector<Client> clients;
  clients.push_back(server.connect());
  clients.back().send_all("block");
  const OpensAtEnd opens(go_on_);
  ASSERT_TRUE(blocked_.wait());
  const auto n = static_cast<std::size_t>(loops());
  // The others get one each first, which makes all equal: then each gets as many as the blocked one.
  for (std::size_t i = 0; i < 8 * n - 1; ++i) {
    clients.push_back(server.connect());
    clients.back().send_all("x");
  }
  const std::size_t others = 8 * (n - 1);
  ASSERT_TRUE(opened_.wait_for(1 + others)) << "only " << opened_.value() << " were opened";
  EXPECT_EQ(count_answered(clients, others), others);
  go_on_.open();
  EXPECT_TRUE(opened_.wait_for(8 * n));
  EXPECT_EQ(clients.front().receive(5), "block");
  EXPECT_EQ(count_answered(clients, 7), 7u);
}

class BlockedInOpenedRegressionTest : public ModeTest {
 protected:
  std::string reuse_port_address() { return mode().scheme() + "://127.0.0.1:0?reuseport=true"; }
};
EVIO_INSTANTIATE(BlockedInOpenedRegressionTest, modes_of(Network::kTcp, {2}));

// With reuseport only loop 0 can accept what the kernel has put before its own sockets: of both addresses, and for both
// loops.
TEST_P(BlockedInOpenedRegressionTest, StallsNoConnectionOfAnotherAddress) {
  constexpr std::size_t kEach = 16;
  Counter in_data;
  Gate leave_data;
  Gate leave_opened;
  Counter on_loop_1;
  Events handlers = events();
  handlers.load_balance = LoadBalance::RoundRobin;
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    if (conn.loop_index() == 1) {
      on_loop_1.add();
    } else if (in_data.value() == 2) {
      EXPECT_TRUE(leave_opened.wait());
    }
    return Action::None;
  };
  handlers.data = [&](Conn&, const Bytes&, Output&) {
    in_data.add();
    EXPECT_TRUE(leave_data.wait());
    return Action::None;
  };
  TestServer server(handlers, {reuse_port_address(), reuse_port_address()});
  const OpensAtEnd opens_data(leave_data);
  const OpensAtEnd opens_opened(leave_opened);
  std::vector<Client> clients;
  for (int i = 0; i < 2; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(on_loop_1.wait_for(1));
  clients.front().send_all("block");
  clients.back().send_all("block");
  ASSERT_TRUE(in_data.wait_for(2));
  for (std::size_t address = 0; address < 2; ++address) {
    for (std::size_t i = 0; i < kEach; ++i) clients.push_back(server.connect(address));
  }
  leave_data.open();
  EXPECT_TRUE(on_loop_1.wait_for(1 + kEach)) << "only " << on_loop_1.value() << " of " << 1 + kEach;
  leave_opened.open();
}

class OutOfDescriptorsRegressionTest : public ModeTest {
 protected:
  void SetUp() override {
    ModeTest::SetUp();
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
  }
  void TearDown() override {
    ::setrlimit(RLIMIT_NOFILE, &before_);
    ModeTest::TearDown();
  }

  // Lets the process open `more` descriptors, counting the gaps below the highest one there is.
  static void allow(rlim_t more) {
    const auto open = open_descriptors();
    std::set<int> free;
    for (int fd = 0; fd < open.rbegin()->first; ++fd) {
      if (!open.contains(fd)) free.insert(fd);
    }
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = free.size() > more ? static_cast<rlim_t>(*std::next(free.begin(), static_cast<long>(more)))
                                        : static_cast<rlim_t>(open.rbegin()->first + 1) + more - free.size();
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  }

  rlimit before_{};
};
EVIO_INSTANTIATE(OutOfDescriptorsRegressionTest, modes_of({1, 4}));

TEST_P(OutOfDescriptorsRegressionTest, ServesTheConnectedAndThenTheRest) {
  Counter opened;
  Events handlers = events();
  handlers.opened = [&](Conn&, Output&, Options&) {
    opened.add();
    return Action::None;
  };
  handlers.data = echo;
  TestServer server(handlers, address());
  std::vector<Client> connected;
  for (int i = 0; i < 4; ++i) connected.push_back(server.connect());
  ASSERT_TRUE(opened.wait_for(4));
  // Client and server share the limit: sockets that exist already connect without another descriptor.
  std::vector<UniqueFd> sockets;
  for (int i = 0; i < 8; ++i) {
    sockets.emplace_back(::socket(mode().is_tcp() ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  }
  sockaddr_storage to{};
  socklen_t size = sizeof(to);
  ::getpeername(connected.front().fd(), reinterpret_cast<sockaddr*>(&to), &size);
  allow(3);
  std::vector<Client> waiting;
  for (UniqueFd& fd : sockets) {
    ASSERT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), size), 0);
    waiting.emplace_back(std::move(fd));
  }
  EXPECT_TRUE(opened.wait_for(4 + 3));
  EXPECT_TRUE(comes_to_rest()) << "a paused listener spins";
  EXPECT_EQ(opened.value(), 4u + 3u);
  for (int round = 0; round < 10; ++round) {
    for (Client& client : connected) {
      client.send_all("ping");
      EXPECT_EQ(client.receive(4), "ping");
    }
  }
  ::setrlimit(RLIMIT_NOFILE, &before_);
  EXPECT_TRUE(opened.wait_for(4 + waiting.size()));
  for (Client& client : waiting) {
    client.send_all("pong");
    EXPECT_EQ(client.receive(4), "pong");
  }
  Client late = server.connect();
  late.send_all("late");
  EXPECT_EQ(late.receive(4), "late");
}

// The other way to recovery: a connection that goes leaves its descriptor to the next.
TEST_P(OutOfDescriptorsRegressionTest, AConnectionThatGoesMakesRoom) {
  Counter opened;
  Events handlers = events();
  handlers.opened = [&](Conn&, Output&, Options&) {
    opened.add();
    return Action::None;
  };
  handlers.data = echo;
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(opened.wait_for(4));
  UniqueFd socket(::socket(mode().is_tcp() ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage to{};
  socklen_t size = sizeof(to);
  ::getpeername(clients.front().fd(), reinterpret_cast<sockaddr*>(&to), &size);
  allow(0);
  ASSERT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), size), 0);
  Client waiting(std::move(socket));
  EXPECT_TRUE(waiting.is_quiet());
  EXPECT_EQ(opened.value(), 4u);
  clients.pop_back();
  waiting.send_all("in");
  EXPECT_EQ(waiting.receive(2), "in");
}

}  // namespace
}  // namespace evio::test
