// Guarantee 25: how many connections one peer may have, and whom `accepting` lets in. The others are reset.
#include <atomic>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/guarantees/limits_fixture.hpp"

namespace evio::test {
namespace {

class AcceptingTest : public LimitsTest {};
EVIO_INSTANTIATE(AcceptingTest, all_modes());

TEST_P(AcceptingTest, IsAskedForEachConnectionBeforeAnyOtherCallback) {
  Events handlers = limited(0);
  std::mutex mutex;
  std::vector<std::pair<int, std::string>> asked;
  handlers.accepting = [&](int addr_index, const Addr& remote) {
    const std::lock_guard lock(mutex);
    EXPECT_EQ(remote.network(), mode().is_tcp() ? "tcp" : "unix");
    asked.emplace_back(addr_index, remote.to_string());
    log_.add("asked");
    return true;
  };
  TestServer server(handlers, {address(), address()});
  expect_echo(connect(server, 1));
  expect_echo(connect(server, 0));
  EXPECT_EQ(log_.all(), (EventLog::List{"asked", "opened", "asked", "opened"}));
  const std::lock_guard lock(mutex);
  EXPECT_EQ(asked,
            (std::vector<std::pair<int, std::string>>{{1, clients_[0].local_name()}, {0, clients_[1].local_name()}}));
}

TEST_P(AcceptingTest, FalseResetsAndNothingElseIsCalled) {
  Events handlers = limited(0);
  std::atomic<int> asked{0};
  handlers.accepting = [&](int, const Addr&) { return asked++ % 2 != 0; };
  TestServer server(handlers, address());
  for (int i = 0; i != 10; ++i) {
    connect(server);
    expect_refused(clients_.back());
    expect_echo(connect(server));
  }
  server.shutdown();
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(log_.count("opened"), 10u);
  EXPECT_EQ(log_.count("closed"), 10u);
}

// Also when it waited: whoever is refused leaves the place to the one behind.
TEST_P(AcceptingTest, FalseTakesNoPlace) {
  Events handlers = limited(1);
  std::atomic<int> asked{0};
  handlers.accepting = [&](int, const Addr&) { return asked++ % 100 == 0; };
  TestServer server(handlers, address());
  expect_echo(connect(server));
  connect_many(server, 100);  // 99 of them are refused: more than one batch
  EXPECT_TRUE(all_sleep());
  EXPECT_EQ(asked, 1) << "who waits was not accepted yet";
  clients_.front().close();
  expect_echo(clients_.back());
  for (std::size_t i = 1; i != 100; ++i) expect_refused(clients_[i]);
  EXPECT_EQ(asked, 101);
  EXPECT_EQ(most_open_, 1);
}

TEST_P(AcceptingTest, AnExceptionShutsTheServerDown) {
  Events handlers = limited(0);
  handlers.accepting = [&](int, const Addr&) -> bool { throw std::runtime_error("accepting has failed"); };
  TestServer server(handlers, address());
  connect(server);
  server.wait();
  EXPECT_EQ(server.thrown_message(), "accepting has failed");
  EXPECT_EQ(clients_[0].receive_all(), "");
  EXPECT_EQ(log_.all(), EventLog::List{});
}

class MaxPerIpTest : public LimitsTest {
 protected:
  Events per_ip(int most, int max_connections = 0) {
    Events handlers = limited(max_connections);
    handlers.max_per_ip = most;
    handlers.accepting = [this](int, const Addr&) {
      log_.add("asked");
      return true;
    };
    return handlers;
  }
  Client& connect_from(const char* source, const TestServer& server, std::size_t address = 0) {
    clients_.emplace_back(server.addr(address), Client::Tuning{.source = source});
    return clients_.back();
  }
};
EVIO_INSTANTIATE(MaxPerIpTest, modes_of(Network::kTcp));

TEST_P(MaxPerIpTest, OneMoreIsResetBeforeAnyCallback) {
  TestServer server(per_ip(2), {address(), address()});
  for (const char* source : {"127.0.0.2", "127.0.0.3"}) {
    expect_echo(connect_from(source, server, 0));
    expect_echo(connect_from(source, server, 1));
    for (const std::size_t listener : {0u, 1u}) expect_refused(connect_from(source, server, listener));
  }
  EXPECT_EQ(log_.count("opened"), 4u);
  EXPECT_EQ(log_.count("asked"), 4u);
  EXPECT_EQ(log_.count("closed"), 0u);
}

TEST_P(MaxPerIpTest, WhoSeesTheEndOfOneMayComeBackAtOnce) {
  TestServer server(per_ip(1), address());
  for (int i = 0; i != 50; ++i) {
    Client& client = connect_from("127.0.0.2", server);
    client.send_all("close");
    ASSERT_EQ(client.receive_all(), "close") << i;
    ASSERT_TRUE(client.at_end());
  }
  EXPECT_EQ(log_.count("opened"), 50u);
}

TEST_P(MaxPerIpTest, CountsUntilDetachedHasReturned) {
  Gate detached;
  Events handlers = per_ip(1);
  handlers.detached = [&](Conn&, const DetachedConn&) {
    log_.add("detached");
    EXPECT_TRUE(detached.wait());
    return Action::None;
  };
  TestServer server(handlers, address());
  const OpensAtEnd opens(detached);
  connect_from("127.0.0.2", server).send_all("detach");
  ASSERT_TRUE(log_.wait_for("detached"));
  if (loops() > 1) {
    expect_refused(connect_from("127.0.0.2", server));
  }
  detached.open();
  EXPECT_TRUE(all_sleep());
  expect_echo(connect_from("127.0.0.2", server));
}

TEST_P(MaxPerIpTest, OneThatAcceptingRefusedDoesNotCount) {
  Events handlers = per_ip(1);
  std::atomic<int> asked{0};
  handlers.accepting = [&](int, const Addr&) { return asked++ == 3; };
  TestServer server(handlers, address());
  for (int i = 0; i != 3; ++i) expect_refused(connect_from("127.0.0.2", server));
  expect_echo(connect_from("127.0.0.2", server));
  expect_refused(connect_from("127.0.0.2", server));
  EXPECT_EQ(asked, 4);
}

// Those that wait for a place are not accepted yet, so they do not count for their address.
TEST_P(MaxPerIpTest, IsLookedAtWhenAConnectionIsAccepted) {
  TestServer server(per_ip(1, 1), address());
  expect_echo(connect_from("127.0.0.2", server));
  connect_from("127.0.0.2", server);
  EXPECT_TRUE(clients_[1].is_quiet());
  clients_[0].close();
  expect_echo(clients_[1]);
}

TEST_P(MaxPerIpTest, AnIPv4PeerIsTheSameOnASocketOfBothFamilies) {
  TestServer server(per_ip(1), {address(), mode().scheme() + "://[::]:0"});
  expect_echo(connect_from("127.0.0.2", server, 1));
  expect_refused(connect_from("127.0.0.2", server, 0));
  expect_refused(connect_from("127.0.0.2", server, 1));
  expect_echo(connect_from("127.0.0.3", server, 0));
  expect_refused(connect_from("127.0.0.3", server, 1));
  expect_echo(connect(server, 1));  // ::1
  connect(server, 1);
  expect_refused(clients_.back());
}

class ExemptTest : public LimitsTest {};
EVIO_INSTANTIATE(ExemptTest, modes_of(Network::kUnix));

TEST_P(ExemptTest, UnixSocketsHaveNoIp) {
  Events handlers = limited(0);
  handlers.max_per_ip = 1;
  TestServer server(handlers, address());
  connect_many(server, 10);
  for (Client& client : clients_) expect_echo(client);
}

}  // namespace
}  // namespace evio::test
