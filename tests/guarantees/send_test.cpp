// Guarantee 8: send arrives in the order one thread called it, and is not lost to what is called after it.
#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/enough.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class SendTest : public ModeTest {
 protected:
  // Starts a server whose one connection is conn_; calls of data are counted, and answer with these.
  void start(const std::string& out_of_data = "", Action action = Action::None) {
    Events handlers = events();
    handlers.opened = [this](Conn& conn, Output&, Options&) {
      conn_ = conn;
      opened_.open();
      return Action::None;
    };
    handlers.data = [this, out_of_data, action](Conn&, const Bytes&, Output& out) {
      data_.add();
      out = out_of_data;
      return action;
    };
    handlers.closed = [this](Conn&, const Error& err) {
      EXPECT_FALSE(err) << err.message();
      closed_.open();
      return Action::None;
    };
    handlers.drain_timeout = kPatience;
    server_ = std::make_unique<TestServer>(handlers, address());
    client_ = server_->connect();
    ASSERT_TRUE(opened_.wait());
  }
  // What arrives until these are done and the connection is closed.
  std::string receive_all_of(std::vector<std::thread>& senders) {
    std::thread closer([&] {
      for (std::thread& sender : senders) sender.join();
      EXPECT_TRUE(conn_.close());
    });
    std::string received = client_.receive_all();
    closer.join();
    return received;
  }
  void TearDown() override {
    client_.close();
    server_.reset();
    ModeTest::TearDown();
  }

  Conn conn_;
  Gate opened_;
  Gate closed_;
  Counter data_;
  std::unique_ptr<TestServer> server_;
  Client client_;
};
EVIO_INSTANTIATE(SendTest, with_tls(all_modes()));

TEST_P(SendTest, KeepsEachThreadsOrder) {
  constexpr int kThreads = 4;
  constexpr int kSends = 3'000;
  start();
  std::vector<std::thread> senders;
  for (int t = 0; t < kThreads; ++t) {
    senders.emplace_back([this, t] {
      for (int i = 0; i < kSends; ++i) {
        EXPECT_TRUE(conn_.send(std::to_string(t) + " " + std::to_string(i) + "\n"));
      }
    });
  }
  std::istringstream received(receive_all_of(senders));
  std::array<int, kThreads> next{};
  for (int t = 0, i = 0; received >> t >> i;) {
    ASSERT_LT(t, kThreads);
    ASSERT_EQ(i, next[static_cast<std::size_t>(t)]++);
  }
  for (const int count : next) EXPECT_EQ(count, kSends);
  EXPECT_EQ(data_.value(), 0u);
}

// What one thread sent before another one began leaves before what that one sends: here a lock says who comes first.
TEST_P(SendTest, HasOneOrderForAllThreads) {
  constexpr int kThreads = 4;
  constexpr int kSends = 8'000;
  start();
  std::mutex mutex;
  int next = 0;
  std::vector<std::thread> senders;
  for (int t = 0; t < kThreads; ++t) {
    senders.emplace_back([&] {
      for (;;) {
        const std::lock_guard lock(mutex);
        if (next == kSends) break;
        EXPECT_TRUE(conn_.send(std::to_string(next++) + "\n"));
      }
    });
  }
  std::istringstream received(receive_all_of(senders));
  int count = 0;
  for (int number = 0; received >> number; ++count) ASSERT_EQ(number, count);
  EXPECT_EQ(count, kSends);
}

TEST_P(SendTest, KeepsItsPlaceBesideTheWakesOfItsThread) {
  start("!");
  for (int i = 0; i < 200; ++i) {
    conn_.send("a");
    conn_.wake();
    conn_.send("b");
    ASSERT_EQ(client_.receive(3), "a!b");
  }
}

// What a wake's data call asks for comes after all output, and so after what was sent behind the wake.
TEST_P(SendTest, BehindAWakeSurvivesTheWakesClose) {
  start("!", Action::Close);
  conn_.wake();
  std::string expected = "!";
  for (int i = 0; i < 100'000 && conn_.send("b"); ++i) expected += "b";
  EXPECT_TRUE(client_.receive_all() == expected);
}

// Two connections are ready in one turn. In the data call of the first, another thread does something to the second,
// whose data call comes before the note about that; in the second call, something else.
class SendInATurnTest : public ModeTest {
 protected:
  std::string received_by_the_second(const std::function<void(Conn)>& in_first,
                                     const std::function<void(Conn)>& in_second) {
    std::vector<Conn> conns;
    int calls = 0;
    Counter opened;
    Gate blocked;
    Gate go;
    Events handlers = events();
    handlers.opened = [&](Conn& conn, Output&, Options&) {
      conns.push_back(conn);
      opened.add();
      return Action::None;
    };
    handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
      if (in == "block") {
        blocked.open();
        EXPECT_TRUE(go.wait());
      } else if (!in.empty() && ++calls == 1) {
        std::thread(in_first, conns[1] == conn ? conns[2] : conns[1]).join();
      } else if (!in.empty()) {
        if (in_second) std::thread(in_second, conn).join();
        out = "out";
      } else {
        out = "wake";
      }
      return Action::None;
    };
    TestServer server(handlers, address());
    std::vector<Client> clients;
    for (std::size_t i = 0; i != 3; ++i) {
      clients.push_back(server.connect());
      EXPECT_TRUE(opened.wait_for(i + 1));
    }
    clients[0].send_all("block");
    EXPECT_TRUE(blocked.wait());
    for (Client& client : {std::ref(clients[1]), std::ref(clients[2])}) {
      client.send_all("x");
      client.shutdown_write();
      client.wait_for_arrival();
    }
    go.open();
    return clients[1].receive_all() + clients[2].receive_all();
  }
};
EVIO_INSTANTIATE(SendInATurnTest, modes_of({1}));

TEST_P(SendInATurnTest, LeavesBeforeTheOutputOfACallThatBeganLater) {
  EXPECT_EQ(received_by_the_second([](const Conn& conn) { conn.send("sent "); }, nullptr), "sent out");
}

TEST_P(SendInATurnTest, BehindAWakeLeavesBehindItsAnswer) {
  const auto in_first = [](const Conn& conn) {
    conn.send("sent ");
    conn.wake();
    conn.send(" behind");
  };
  EXPECT_EQ(received_by_the_second(in_first, nullptr), "sent outwake behind");
}

// The wake is taken in, and its note still to come: what is sent and closed meanwhile must not wait for it.
TEST_P(SendInATurnTest, BehindAWakeThatIsTakenInIsNotLostToAClose) {
  const auto in_first = [](const Conn& conn) {
    conn.send("sent ");
    conn.wake();
  };
  const auto in_second = [](const Conn& conn) {
    conn.send(" last");
    conn.close();
  };
  EXPECT_EQ(received_by_the_second(in_first, in_second), "sent out last");
}

TEST_P(SendTest, IsNotLostToACloseCalledAfterIt) {
  start();
  std::string expected;
  for (unsigned i = 0; i < 50; ++i) {
    expected += pattern(40'000, i);
    EXPECT_TRUE(conn_.send(pattern(40'000, i)));
  }
  EXPECT_TRUE(conn_.close());
  EXPECT_FALSE(conn_.send("too late"));
  EXPECT_TRUE(client_.receive_all() == expected);
  EXPECT_TRUE(client_.at_end()) << client_.error().message();
  EXPECT_TRUE(closed_.wait());
}

TEST_P(SendTest, IsNotLostToAShutdownCalledAfterIt) {
  start();
  std::string expected;
  for (unsigned i = 0; i < 50; ++i) {
    expected += pattern(40'000, i);
    EXPECT_TRUE(conn_.send(pattern(40'000, i)));
  }
  server_->shutdown();
  EXPECT_TRUE(client_.receive_all() == expected);
  EXPECT_TRUE(client_.at_end()) << client_.error().message();
  EXPECT_FALSE(server_->wait());
  EXPECT_TRUE(closed_.is_open());
}

TEST_P(SendTest, WhatEachSendSaidIsTrue) {
  start();
  // Another thread closes while this one sends: what was taken arrives, what was not does not.
  std::thread closer([&] { conn_.close(); });
  std::string taken;
  for (int i = 0; i < 100'000; ++i) {
    const std::string piece = std::to_string(i) + " ";
    if (!conn_.send(piece)) break;
    taken += piece;
  }
  closer.join();
  EXPECT_TRUE(client_.receive_all() == taken);
  EXPECT_TRUE(client_.at_end());
}

TEST_P(SendTest, ResultsHoldWhenThePeerEndsItsSide) {
  std::mutex mutex;
  std::vector<Conn> conns;
  Counter opened;
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    const std::lock_guard lock(mutex);
    conns.push_back(conn);
    opened.add();
    return Action::None;
  };
  TestServer server(handlers, address());
  const Enough enough(100, 10);
  for (std::size_t round = 0; !enough.reached(round); ++round) {
    Client client = server.connect();
    ASSERT_TRUE(opened.wait_for(round + 1));
    Conn conn;
    {
      const std::lock_guard lock(mutex);
      conn = conns[round];
    }
    std::size_t taken = 0;
    Gate sending;
    std::thread sender([&] {
      while (conn.send("x")) {
        if (++taken == 10) sending.open();
        // The peer's end is read once nothing waits, which may be never for who sends faster than the peer reads.
        while (conn.pending() > 1000) std::this_thread::yield();
      }
      sending.open();
    });
    ASSERT_TRUE(sending.wait());
    client.shutdown_write();
    const std::string received = client.receive_all();
    sender.join();
    ASSERT_EQ(received.size(), taken) << round;
  }
}

TEST_P(SendTest, TakesEverythingAnOutputTakes) {
  start();
  const std::string lvalue(100, 'l');
  const Bytes shared = Bytes(pattern(100'000));
  conn_.send("literal ");
  conn_.send(std::string_view("view "));
  conn_.send(lvalue);
  conn_.send(std::string(100'000, 'm'));
  conn_.send(shared);
  conn_.send(shared.substr(10, 5));
  conn_.send(Bytes::literal(" static"));
  conn_.send("");
  conn_.close();
  const std::string expected =
      "literal view " + lvalue + std::string(100'000, 'm') + shared.str() + shared.str().substr(10, 5) + " static";
  EXPECT_TRUE(client_.receive_all() == expected);
}

// Under one lock all members of a room see all lines in one order, whichever loop a line was said on.
TEST_P(SendTest, UnderOneLockReachesAllConnectionsInOneOrder) {
  constexpr std::size_t kMembers = 8;
  constexpr int kLines = 20;  // few enough for a socket's buffer: no member is read while it is full
  std::mutex mutex;
  std::vector<Conn> members;
  int said = 0;
  Counter joined;
  Events handlers = events();
  handlers.load_balance = LoadBalance::RoundRobin;
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    const std::lock_guard lock(mutex);
    members.push_back(conn);
    joined.add();
    return Action::None;
  };
  handlers.data = [&](Conn&, const Bytes& in, Output&) {
    for (std::size_t i = 0; i < in.size(); ++i) {
      const std::lock_guard lock(mutex);
      const std::string line = std::to_string(said++) + "\n";
      for (const Conn& member : members) EXPECT_TRUE(member.send(line));
    }
    return Action::None;
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (std::size_t i = 0; i < kMembers; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(joined.wait_for(kMembers));
  int heard = 0;
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < kLines; ++i) {
      for (Client& client : clients) client.send_all("x");
    }
    std::string all;
    for (const int end = heard + kLines * static_cast<int>(kMembers); heard != end; ++heard)
      all += std::to_string(heard) + "\n";
    for (Client& client : clients) ASSERT_EQ(client.receive(all.size()), all);
  }
}

TEST_P(SendTest, ToOneConnectionFromTheCallbacksOfOthers) {
  std::mutex mutex;
  std::vector<Conn> members;
  Counter joined;
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    const std::lock_guard lock(mutex);
    members.push_back(conn);
    joined.add();
    return Action::None;
  };
  handlers.data = [&](Conn&, const Bytes& in, Output&) {
    const std::lock_guard lock(mutex);
    for (const Conn& member : members) EXPECT_TRUE(member.send(in));
    return Action::None;
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(joined.wait_for(clients.size()));
  for (Client& speaker : clients) {
    speaker.send_all("hello all");
    for (Client& listener : clients) EXPECT_EQ(listener.receive(9), "hello all");
  }
}

}  // namespace
}  // namespace evio::test
