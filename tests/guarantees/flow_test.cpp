// Guarantee 21, of output: who is told that it waits, how much may, and how much does. Turn by turn:
// unit/stream/stream_flow_test and stream_pending_test. A relay that lives by this: relay_test.
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/enough.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

thread_local int callbacks = 0;  // that are under way on this thread

/// Fails the test when a callback is called within another.
class InCallback {
 public:
  InCallback() { EXPECT_EQ(++callbacks, 1) << "a callback within a callback"; }
  ~InCallback() { --callbacks; }
  InCallback(const InCallback&) = delete;
  InCallback& operator=(const InCallback&) = delete;
};

class FlowTest : public ModeTest {
 protected:
  static constexpr std::size_t kMoreThanSocketsHold = 8'000'000;
  static constexpr Client::Tuning kSmall{.receive_buffer = 131'072};

  // Notes everything, and keeps the connection. What a test adds to opened it gives here.
  Events noting(Options options, std::string welcome = "") {
    Events handlers = events();
    note_all(handlers, log_);
    handlers.opened = [this, options, welcome](Conn& conn, Output& out, Options& opts) {
      const InCallback here;
      conn_ = conn;
      fd_ = conn.native_handle();
      thread_ = std::this_thread::get_id();
      opts = options;
      out = welcome;
      log_.add(conn, "opened");
      return Action::None;
    };
    handlers.congested = [this](Conn& conn) {
      const InCallback here;
      EXPECT_EQ(std::this_thread::get_id(), thread_);
      log_.add(conn, "congested");
      return Action::None;
    };
    handlers.drained = [this](Conn& conn, Output&) {
      const InCallback here;
      EXPECT_EQ(std::this_thread::get_id(), thread_);
      log_.add(conn, "drained");
      return Action::None;
    };
    return handlers;
  }

  // The options apply once opened has returned.
  void wait_until_opened() {
    ASSERT_TRUE(log_.wait_for("opened"));
    Gate ran;
    EXPECT_TRUE(conn_.post([&](Conn&, Output&) {
      ran.open();
      return Action::None;
    }));
    EXPECT_TRUE(ran.wait());
  }
  // How much the kernel has of what was sent: unread by the client, or on its way there.
  std::size_t in_kernel(const Client& client) const {
    int unread = 0;
    int unacknowledged = 0;
    ::ioctl(client.fd(), FIONREAD, &unread);
    if (mode().is_tcp()) ::ioctl(fd_, SIOCOUTQ, &unacknowledged);
    return static_cast<std::size_t>(unread) + static_cast<std::size_t>(unacknowledged);
  }

  EventLog log_;
  Conn conn_;  // once "opened" is noted
  int fd_ = -1;
  std::thread::id thread_;
};
EVIO_INSTANTIATE(FlowTest, with_tls(all_modes()));

// Of TLS, what the kernel holds is encrypted, and longer.
class FlowFiguresTest : public FlowTest {};
EVIO_INSTANTIATE(FlowFiguresTest, all_modes());

// drained produces the next piece, which congests again: as a server sends a file.
TEST_P(FlowTest, CongestedAndDrainedAlternateOnTheLoop) {
  constexpr std::size_t kRounds = 10;
  const std::string piece = pattern(kMoreThanSocketsHold);
  Events handlers = noting({.high_water = 500'000, .low_water = 100'000}, piece);
  handlers.congested = [&](Conn& conn) {
    const InCallback here;
    EXPECT_EQ(std::this_thread::get_id(), thread_);
    EXPECT_GT(conn.pending(), 500'000u);
    log_.add(conn, "congested");
    return Action::None;
  };
  handlers.drained = [&](Conn& conn, Output& out) {
    const InCallback here;
    EXPECT_EQ(std::this_thread::get_id(), thread_);
    EXPECT_LE(conn.pending(), 100'000u);
    log_.add(conn, "drained");
    if (log_.count("drained") < kRounds) out = piece;
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  for (std::size_t i = 0; i != kRounds; ++i) ASSERT_TRUE(client.receive(piece.size()) == piece) << i;
  ASSERT_TRUE(log_.wait_for("drained", kRounds));
  EventLog::List expected{"opened"};
  for (std::size_t i = 0; i != kRounds; ++i) expected.insert(expected.end(), {"congested", "drained"});
  EXPECT_EQ(log_.all(), expected);
}

TEST_P(FlowTest, WithZeroAndZeroTheySayThatOutputHadToWaitAndThatAllIsGone) {
  Events handlers = noting({}, pattern(kMoreThanSocketsHold));
  handlers.drained = [&](Conn& conn, Output&) {
    EXPECT_EQ(conn.pending(), 0u);
    log_.add(conn, "drained");
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(log_.wait_for("congested"));
  EXPECT_EQ(client.receive(kMoreThanSocketsHold).size(), kMoreThanSocketsHold);
  ASSERT_TRUE(log_.wait_for("drained"));
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "congested", "drained"}));
}

TEST_P(FlowTest, ALowWaterAboveTheHighIsAsHigh) {
  Events handlers = noting({.high_water = 200'000, .low_water = 100'000'000}, pattern(kMoreThanSocketsHold));
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(log_.wait_for("congested"));
  EXPECT_TRUE(all_sleep()) << "the two follow each other for ever";
  EXPECT_EQ(log_.count("drained"), 0u);
  EXPECT_EQ(client.receive(kMoreThanSocketsHold).size(), kMoreThanSocketsHold);
  ASSERT_TRUE(log_.wait_for("drained"));
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "congested", "drained"}));
}

TEST_P(FlowTest, WhatTheKernelTakesAtOnceCongestsNobody) {
  TestServer server(noting({}), address());
  Client client = server.connect();
  for (int i = 0; i != 100; ++i) {
    client.send_all("ping");
    EXPECT_EQ(client.receive(4), "ping");
    EXPECT_TRUE(conn_.send("sent"));
    EXPECT_EQ(client.receive(4), "sent");
  }
  EXPECT_EQ(log_.count("congested") + log_.count("drained"), 0u);
}

TEST_P(FlowTest, NeitherComesAfterCloseWasAskedFor) {
  Events handlers = noting({.high_water = 1'000});
  handlers.data = [&](Conn&, const Bytes&, Output& out) {
    out = pattern(kMoreThanSocketsHold);
    return Action::Close;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  client.send_all("x");
  EXPECT_EQ(client.receive_all().size(), kMoreThanSocketsHold);
  ASSERT_TRUE(log_.wait_for("closed"));
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "closed"}));
}

TEST_P(FlowTest, DrainedDoesNotComeAfterCloseWasAskedFor) {
  TestServer server(noting({.high_water = 1'000}, pattern(kMoreThanSocketsHold)), address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(log_.wait_for("congested"));
  EXPECT_TRUE(conn_.close());
  EXPECT_EQ(client.receive_all().size(), kMoreThanSocketsHold);
  ASSERT_TRUE(log_.wait_for("closed"));
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "congested", "closed"}));
}

TEST_P(FlowTest, AnExceptionOfEitherClosesTheConnectionBehindItsOutput) {
  for (const bool in_drained : {false, true}) {
    EventLog log;
    Events handlers = noting({}, pattern(kMoreThanSocketsHold));
    handlers.closed = [&](Conn& conn, const Error& err) {
      log.add(conn, err.message());
      return Action::None;
    };
    handlers.congested = [&](Conn&) -> Action {
      if (!in_drained) throw std::runtime_error("too much");
      return Action::None;
    };
    handlers.drained = [](Conn&, Output& out) -> Action {
      out = "dropped";
      throw std::runtime_error("too much");
    };
    TestServer server(handlers, address());
    Client client(server.addr(), kSmall);
    EXPECT_EQ(client.receive_all().size(), kMoreThanSocketsHold);
    EXPECT_TRUE(log.wait_for("too much"));
  }
}

TEST_P(FlowFiguresTest, PendingIsExactAtRestAndZeroWhenAllIsTaken) {
  TestServer server(noting({}, pattern(kMoreThanSocketsHold)), address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(log_.wait_for("congested"));
  std::size_t sent = kMoreThanSocketsHold;
  std::size_t received = 0;
  for (const std::size_t size : {1u, 100u, 5'000u, 50'000u, 1'000'000u}) {
    const std::size_t before = conn_.pending();
    EXPECT_TRUE(conn_.send(std::string(size, 's')));
    EXPECT_LE(conn_.pending(), before + size);
    sent += size;
    received += client.receive(size / 2).size();
    // The kernel's two figures are not of one moment while something moves.
    EXPECT_TRUE(eventually([&] { return conn_.pending() + in_kernel(client) + received == sent; }))
        << conn_.pending() << " + " << in_kernel(client) << " + " << received << " of " << sent;
  }
  EXPECT_EQ(client.receive(sent - received).size(), sent - received);
  EXPECT_TRUE(eventually([&] { return conn_.pending() == 0; }));
  client.close();
  ASSERT_TRUE(log_.wait_for("closed"));
  EXPECT_EQ(conn_.pending(), 0u);
}

TEST_P(FlowTest, NothingIsPendingOfOneThatIsGone) {
  std::atomic<std::size_t> when_closed{1};
  Events handlers = noting({}, pattern(kMoreThanSocketsHold));
  handlers.closed = [&](Conn& conn, const Error&) {
    when_closed = conn.pending();
    log_.add(conn, "closed");
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(log_.wait_for("congested"));
  EXPECT_GT(conn_.pending(), 0u);
  EXPECT_TRUE(conn_.abort());
  ASSERT_TRUE(log_.wait_for("closed"));
  EXPECT_EQ(when_closed, 0u);
  EXPECT_EQ(conn_.pending(), 0u);
  EXPECT_FALSE(conn_.pause());
  EXPECT_FALSE(conn_.resume());
  EXPECT_FALSE(conn_.close_write());
  EXPECT_EQ(Conn().pending(), 0u);
  EXPECT_FALSE(Conn().pause());
}

// Whoever sends: the limit can be reached exactly, and a send that would exceed it leaves nothing behind. The loop is
// held meanwhile: the kernel takes more whenever it likes, and nothing is written then.
TEST_P(FlowTest, ASendIsRefusedWholeAndExactly) {
  constexpr std::size_t kLimit = 300'000;
  Gate go_on;
  TestServer server(noting({.max_pending = kLimit}), address());
  const OpensAtEnd lets_go(go_on);
  Client client(server.addr(), kSmall);
  wait_until_opened();
  std::size_t sent = 0;
  const auto send = [&](std::size_t size) {
    const bool taken = conn_.send(std::string(size, 's'));
    if (taken) sent += size;
    return taken;
  };
  EXPECT_FALSE(send(kLimit + 1)) << "though nothing is pending";
  while (send(50'000)) {
  }
  Gate held;
  Counter looked;
  EXPECT_TRUE(conn_.post([&](Conn& conn, Output&) {
    held.open();
    EXPECT_TRUE(go_on.wait());
    EXPECT_EQ(conn.pending(), kLimit);
    EXPECT_FALSE(conn.send("x"));
    EXPECT_FALSE(conn.send(std::string(100'000, 'x')));
    EXPECT_TRUE(conn.send("")) << "nothing always fits";
    EXPECT_EQ(conn.pending(), kLimit);
    looked.add();
    return Action::None;
  }));
  ASSERT_TRUE(held.wait());
  const std::size_t room = kLimit - conn_.pending();
  EXPECT_FALSE(send(room + 1));
  EXPECT_EQ(conn_.pending(), kLimit - room);
  EXPECT_TRUE(room == 0 || send(room));
  EXPECT_EQ(conn_.pending(), kLimit);
  EXPECT_FALSE(send(1));
  EXPECT_TRUE(send(0));
  EXPECT_EQ(conn_.pending(), kLimit);
  go_on.open();
  ASSERT_TRUE(looked.wait_for(1));
  EXPECT_EQ(client.receive(sent), std::string(sent, 's'));
  EXPECT_TRUE(eventually([&] { return conn_.pending() == 0; }));
  EXPECT_TRUE(send(kLimit));
  EXPECT_EQ(client.receive(kLimit), std::string(kLimit, 's'));
  EXPECT_TRUE(client.is_quiet());
}

// The same of the loop's own sends: what one callback sends is written when it returns.
TEST_P(FlowTest, ACallbackReachesTheLimitExactlyToo) {
  constexpr std::size_t kLimit = 300'000;
  TestServer server(noting({.max_pending = kLimit}), address());
  Client client(server.addr(), kSmall);
  wait_until_opened();
  std::size_t sent = 0;
  const auto send = [&](const Conn& conn, std::size_t size) {
    const bool taken = conn.send(std::string(size, 's'));
    if (taken) sent += size;
    return taken;
  };
  for (int i = 0; i != 10; ++i) {
    Gate ran;
    EXPECT_TRUE(conn_.post([&](Conn& conn, Output&) {
      const std::size_t room = kLimit - conn.pending();
      EXPECT_FALSE(send(conn, room + 1));
      EXPECT_EQ(conn.pending(), kLimit - room);
      if (room > 100) {
        EXPECT_TRUE(send(conn, 100));
        EXPECT_TRUE(send(conn, room - 100));
      }
      EXPECT_FALSE(send(conn, kLimit - conn.pending() + 1));
      ran.open();
      return Action::None;
    }));
    ASSERT_TRUE(ran.wait());
  }
  EXPECT_EQ(client.receive(sent), std::string(sent, 's'));
  EXPECT_TRUE(client.is_quiet());
}

// Threads and a callback send against each other, while one looks and the client reads.
TEST_P(FlowTest, WhoeverRacesNeverBringsPendingAboveTheLimit) {
  constexpr std::size_t kLimit = 10'000;
  constexpr std::size_t kThreads = 4;
  std::atomic<std::size_t> sent{0};
  std::atomic<bool> over{false};
  std::atomic<std::size_t> most{0};
  Counter ended;
  const auto send = [&](const Conn& conn, std::size_t size) {
    if (conn.send(std::string(size, 's'))) sent += size;
  };
  Events handlers = noting({.max_pending = kLimit});
  handlers.data = [&](Conn& conn, const Bytes&, Output&) {
    for (const std::size_t size : {3'000u, 6'000u}) send(conn, size);
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  wait_until_opened();
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i != kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (std::size_t size = 1 + i; !over; size = size * 7 % 6'007) send(conn_, size);
      ended.add();
    });
  }
  threads.emplace_back([&] {
    while (!over) {
      most = std::max(most.load(), conn_.pending());
      conn_.wake();
    }
    ended.add();
  });
  std::size_t received = 0;
  const Enough enough(2'000);
  for (std::uint64_t i = 0; !enough.reached(i); ++i) received += client.receive(20'000).size();
  over = true;
  EXPECT_TRUE(ended.wait_for(kThreads + 1));
  for (std::thread& thread : threads) thread.join();
  // The callback of the last wake is over when this one runs.
  EXPECT_TRUE(conn_.post([&](Conn& conn, Output& out) {
    out = "end";
    EXPECT_LE(conn.pending(), kLimit);
    log_.add(conn, "posted");
    return Action::None;
  }));
  ASSERT_TRUE(log_.wait_for("posted"));
  EXPECT_LE(most, kLimit);
  EXPECT_EQ(client.receive(sent - received + 3).size(), sent - received + 3) << "a send was refused in part";
}

}  // namespace
}  // namespace evio::test
