// Guarantee 25: how many connections are open at once, over all loops and listeners.
#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>

#include "tests/guarantees/limits_fixture.hpp"
#include "tests/support/strace.hpp"

namespace evio::test {
namespace {

class MaxConnectionsTest : public LimitsTest {};
EVIO_INSTANTIATE(MaxConnectionsTest, all_modes());

TEST_P(MaxConnectionsTest, TheOthersWaitAndAreServedInTurn) {
  constexpr std::size_t kMost = 3;
  constexpr std::size_t kAll = 12;
  TestServer server(limited(kMost), address());
  for (std::size_t i = 0; i != kAll; ++i) {
    connect(server);
    clients_.back().send_all("ping");
    if (i < kMost) {
      EXPECT_EQ(clients_[i].receive(4), "ping");
    }
  }
  EXPECT_TRUE(all_sleep()) << "a listener that rests spins";
  EXPECT_EQ(log_.count("opened"), kMost);
  for (std::size_t i = kMost; i != kAll; ++i) {
    clients_[i - kMost].close();
    ASSERT_TRUE(log_.wait_for("opened", i + 1)) << i;
    EXPECT_EQ(clients_[i].receive(4), "ping") << i;
  }
  EXPECT_EQ(log_.count("opened"), kAll);
  EXPECT_EQ(most_open_, static_cast<int>(kMost));
}

// Nothing is left behind of having been full: it accepts as before, and rests again.
TEST_P(MaxConnectionsTest, GoesOnAfterNobodyWaits) {
  TestServer server(limited(2), address());
  for (int round = 0; round != 5; ++round) {
    connect_many(server, 5);
    for (Client& client : clients_) {
      expect_echo(client);
      client.close();
    }
    clients_.clear();
    EXPECT_TRUE(log_.wait_for("closed", 5 * static_cast<std::size_t>(round + 1)));
  }
  EXPECT_EQ(most_open_, 2);
}

TEST_P(MaxConnectionsTest, ZeroAndLessAreNoLimit) {
  for (const int none : {0, -1}) {
    TestServer server(limited(none), address());
    connect_many(server, 40);
    for (Client& client : clients_) expect_echo(client);
    clients_.clear();
  }
}

TEST_P(MaxConnectionsTest, CountsUntilClosedHasReturned) {
  Gate closing;
  Gate go_on;
  Events handlers = limited(1);
  handlers.closed = [&](Conn&, const Error&) {
    log_.add("closing");
    closing.open();
    EXPECT_TRUE(go_on.wait());
    log_.add("closed");
    return Action::None;
  };
  TestServer server(handlers, address());
  const OpensAtEnd opens(go_on);
  expect_echo(connect(server));
  connect(server);
  clients_[0].close();
  ASSERT_TRUE(closing.wait());
  connect(server);  // it wakes a listener that does not rest yet
  EXPECT_TRUE(clients_[2].is_quiet());
  go_on.open();
  expect_echo(clients_[1]);
  clients_[1].close();
  expect_echo(clients_[2]);
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "closing", "closed", "opened", "closing", "closed", "opened"}));
}

TEST_P(MaxConnectionsTest, CountsUntilDetachedHasReturned) {
  Gate detaching;
  Gate go_on;
  Events handlers = limited(1);
  handlers.detached = [&](Conn&, const DetachedConn&) {
    log_.add("detaching");
    detaching.open();
    EXPECT_TRUE(go_on.wait());
    log_.add("detached");
    return Action::None;
  };
  TestServer server(handlers, address());
  const OpensAtEnd opens(go_on);
  connect(server).send_all("detach");
  ASSERT_TRUE(detaching.wait());
  connect(server);
  EXPECT_TRUE(clients_[1].is_quiet());
  go_on.open();
  expect_echo(clients_[1]);
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "detaching", "detached", "opened"}));
}

// It ends by an exception, by the peer's reset, by close(), by Close.
TEST_P(MaxConnectionsTest, HoweverAConnectionEndsItLeavesItsPlace) {
  Events handlers = limited(1);
  const auto data = handlers.data;
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    if (in == "throw") throw std::runtime_error("thrown");
    if (in == "call") conn.close();
    return data(conn, in, out);
  };
  TestServer server(handlers, address());
  for (const std::string end : {"throw", "reset", "call", "close"}) {
    Client client = server.connect();
    expect_echo(client);
    if (end == "reset") {
      client.reset();
    } else {
      client.send_all(end);
    }
  }
  expect_echo(connect(server));
  EXPECT_EQ(most_open_, 1);
}

TEST_P(MaxConnectionsTest, RestingListenersMakeNoSystemCall) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's own calls are in the way";
  TestServer server(limited(1), {address(), address()});
  expect_echo(connect(server));
  for (const std::size_t listener : {0u, 1u}) connect_many(server, 8, listener);
  EXPECT_TRUE(all_sleep());
  Strace strace(baseline().new_threads());
  if (!strace.attached()) GTEST_SKIP() << "strace is not installed, or may not attach (ptrace(2))";
  EXPECT_TRUE(clients_.back().is_quiet());
  int calls = 0;
  for (const auto& [call, count] : strace.stop()) calls += count;
  EXPECT_LE(calls, 2 * loops()) << "attaching and detaching each interrupts a wait";
  EXPECT_EQ(log_.count("opened"), 1u);
}

TEST_P(MaxConnectionsTest, AShutdownFindsListenersResting) {
  TestServer server(limited(1), {address(), address()});
  expect_echo(connect(server));
  for (const std::size_t listener : {0u, 1u}) connect_many(server, 4, listener);
  EXPECT_TRUE(all_sleep());
  server.shutdown();
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "closed"}));
  for (Client& client : clients_) EXPECT_EQ(client.receive_all(), "");
}

// One that has closed is still there for its peer, who does not read yet.
TEST_P(MaxConnectionsTest, OneThatLingersDoesNotCount) {
  if (!mode().is_tcp()) return;  // a unix peer has got everything at once
  const std::string text = pattern(200'000);
  Events handlers = limited(1);
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    if (in != "text") return echo(conn, in, out);
    out.append(text);
    return Action::Close;
  };
  TestServer server(handlers, address());
  clients_.emplace_back(server.addr(), Client::Tuning{.receive_buffer = 8'192});
  clients_[0].send_all("text");
  connect(server);
  expect_echo(clients_[1]);
  EXPECT_TRUE(clients_[0].receive(text.size()) == text);
  EXPECT_EQ(clients_[0].receive(1), "");
  EXPECT_TRUE(clients_[0].at_end());
}

class ListenersTest : public LimitsTest {};
EVIO_INSTANTIATE(ListenersTest, all_modes());

// With one place for all, a listener at which many wait, and one to which a single client comes last.
TEST_P(ListenersTest, NoneStarvesAnother) {
  Events handlers = limited(1);
  std::atomic<int> opened{0};
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    note_open();
    log_.add("listener " + std::to_string(conn.addr_index()));
    return opened++ == 0 ? Action::None : Action::Close;
  };
  TestServer server(handlers, {address(), address()});
  constexpr int kMany = 24;
  expect_echo(connect(server, 0));
  connect_many(server, kMany, 0);
  connect_many(server, 1, 1);
  EXPECT_TRUE(all_sleep());
  clients_.front().close();
  ASSERT_TRUE(log_.wait_for("closed", kMany + 2));
  EventLog::List order = log_.all();
  std::erase(order, "closed");
  const auto place = std::find(order.begin(), order.end(), "listener 1") - order.begin();
  EXPECT_LE(place, 1 + loops()) << "each loop may have rested for the other listener";
  EXPECT_EQ(order.size(), kMany + 2u);
  EXPECT_EQ(most_open_, 1);
}

TEST_P(ListenersTest, WithReuseportEachSocketIsServed) {
  if (!mode().is_tcp()) return;
  Events handlers = limited(2);
  TestServer server(handlers, address() + "?reuseport=true");
  connect_many(server, 30);  // the kernel spreads them over the sockets
  for (Client& client : clients_) client.send_all("close");
  for (Client& client : clients_) EXPECT_EQ(client.receive_all(), "close");
  EXPECT_LE(most_open_, 2);
}

class BusyLoopTest : public LimitsTest {
 protected:
  static constexpr int kMost = 4;

  // With the loop of this client blocked, another one leaves, and expects that the next one is accepted.
  void expect_accepted(std::size_t busy) {
    Gate blocked;
    Gate go_on;
    Events handlers = limited(kMost);
    handlers.load_balance = LoadBalance::RoundRobin;  // one on each loop
    handlers.accepting = [this](int, const Addr&) {
      log_.add("accepted");
      return true;
    };
    handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
      if (in == "block") {
        blocked.open();
        EXPECT_TRUE(go_on.wait());
      }
      return echo(conn, in, out);
    };
    TestServer server(handlers, address());
    const OpensAtEnd opens(go_on);
    connect_many(server, kMost);
    for (Client& client : clients_) expect_echo(client);
    connect_many(server, 12);
    EXPECT_TRUE(all_sleep());
    clients_[busy].send_all("block");
    ASSERT_TRUE(blocked.wait());
    const std::size_t before = log_.count("accepted");
    clients_[(busy + 1) % kMost].close();
    EXPECT_TRUE(log_.wait_for("accepted", before + 1));
  }
};
EVIO_INSTANTIATE(BusyLoopTest, modes_of({4}));

// Its listener may be the one that rested first: who leaves gives its place away all the same.
TEST_P(BusyLoopTest, KeepsNobodyFromBeingAccepted) {
  for (std::size_t busy = 0; busy != kMost && !HasFailure(); ++busy) {
    SCOPED_TRACE(busy);
    expect_accepted(busy);
    clients_.clear();
  }
}

}  // namespace
}  // namespace evio::test
