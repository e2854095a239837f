// What other event servers have lost: output that was pending when more came, and a Close that was pending.
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMoreThanSocketsHold = 8'000'000;
constexpr Client::Tuning kSmall{.receive_buffer = 131'072};

class PendingOutputRegressionTest : public ModeTest {
 protected:
  // A server that sends `large` when a connection opens, and notes the rest.
  Events sending_on_open(Action action = Action::None) {
    Events handlers = events();
    note_all(handlers, log_);
    handlers.opened = [this, action](Conn& conn, Output& out, Options&) {
      conn_ = conn;
      out = large_;
      log_.add(conn, "opened");
      return action;
    };
    return handlers;
  }

  const std::string large_ = pattern(kMoreThanSocketsHold);
  Conn conn_;
  EventLog log_;
};
EVIO_INSTANTIATE(PendingOutputRegressionTest, all_modes());

TEST_P(PendingOutputRegressionTest, OutputOfWakesIsAddedToUnsentOutput) {
  Events handlers = sending_on_open();
  std::atomic<int> wakes{0};
  handlers.data = [&](Conn& conn, const Bytes&, Output& out) {
    out = "wake " + std::to_string(wakes.fetch_add(1)) + "\n";
    log_.add(conn, "wake");
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(log_.wait_for("opened"));
  std::string expected = large_;
  for (std::size_t i = 0; i < 100; ++i) {
    EXPECT_TRUE(conn_.wake());
    ASSERT_TRUE(log_.wait_for("wake", i + 1));
    expected += "wake " + std::to_string(i) + "\n";
  }
  EXPECT_TRUE(client.receive(expected.size()) == expected);
}

TEST_P(PendingOutputRegressionTest, DataIsAddedToUnsentOutputOfOpened) {
  TestServer server(sending_on_open(), address());
  Client client(server.addr(), kSmall);
  client.send_all("and more");
  EXPECT_TRUE(client.receive(large_.size() + 8) == large_ + "and more");
}

TEST_P(PendingOutputRegressionTest, SendsAndWakesAreAddedInTheirOrder) {
  Events handlers = sending_on_open();
  handlers.data = [&](Conn&, const Bytes&, Output& out) {
    out = "<wake>";
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(log_.wait_for("opened"));
  EXPECT_TRUE(conn_.send("<one>"));
  EXPECT_TRUE(conn_.wake());
  EXPECT_TRUE(conn_.send("<two>"));
  const std::string expected = large_ + "<one><wake><two>";
  EXPECT_TRUE(client.receive(expected.size()) == expected);
}

TEST_P(PendingOutputRegressionTest, AWakeCancelsNoPendingClose) {
  TestServer server(sending_on_open(Action::Close), address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(log_.wait_for("opened"));
  for (int i = 0; i < 100; ++i) conn_.wake();
  EXPECT_TRUE(client.receive_all() == large_);
  EXPECT_TRUE(client.at_end());
  ASSERT_TRUE(log_.wait_for("closed"));
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "closed"}));
}

TEST_P(PendingOutputRegressionTest, AWakeByTheClosingCallCancelsNothing) {
  Events handlers = sending_on_open();
  handlers.opened = [&](Conn& conn, Output& out, Options&) {
    log_.add(conn, "opened");
    conn.wake();
    out = large_;
    return Action::Close;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  EXPECT_TRUE(client.receive_all() == large_);
  ASSERT_TRUE(log_.wait_for("closed"));
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "closed"}));
}

TEST_P(PendingOutputRegressionTest, APeerThatSendsAndNeverReadsCostsNothing) {
  Events handlers = events();
  handlers.data = echo;
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  constexpr std::size_t kMost = 100'000'000;  // tcp_rmem and tcp_wmem may allow 40 MB, tcp(7)
  const std::string text = pattern(1'000'003);
  const std::size_t sent = client.send_until_full(text, kMost, [this] { return all_sleep(); });
  EXPECT_LT(sent, kMost);
  EXPECT_TRUE(all_sleep()) << "something spins";
  EXPECT_TRUE(client.receive(sent) == repeated(text, sent));
}

TEST_P(PendingOutputRegressionTest, APeerThatEndsItsSideGetsAllAndCostsNothing) {
  TestServer server(sending_on_open(), address());
  Client client(server.addr(), kSmall);
  client.shutdown_write();
  ASSERT_TRUE(log_.wait_for("opened"));
  EXPECT_TRUE(all_sleep()) << "something spins";
  EXPECT_TRUE(client.receive_all() == large_);
  EXPECT_TRUE(client.at_end());
  ASSERT_TRUE(log_.wait_for("closed"));
}

TEST_P(PendingOutputRegressionTest, ShutdownDrainsToThoseWhoRead) {
  const Bytes much(pattern(16'000'000));
  for (const bool reads : {true, false}) {
    Counter opened;
    Events handlers = events();
    handlers.drain_timeout = reads ? std::chrono::nanoseconds(kPatience) : std::chrono::nanoseconds(100ms);
    handlers.opened = [&](Conn&, Output& out, Options&) {
      out = much;
      opened.add();
      return Action::None;
    };
    TestServer server(handlers, address());
    Client client(server.addr(), kSmall);
    ASSERT_TRUE(opened.wait_for(1));
    server.shutdown();
    if (reads) {
      EXPECT_TRUE(client.receive_all() == much);
    }
    EXPECT_FALSE(server.wait());
  }
}

class ResetRegressionTest : public ModeTest {};
EVIO_INSTANTIATE(ResetRegressionTest, modes_of(Network::kTcp));

// The kernel reports both at once: what was received comes first, then the error.
TEST_P(ResetRegressionTest, DeliversDataBeforeTheError) {
  for (int round = 0; round < 20; ++round) {
    Gate busy;
    Gate go_on;
    EventLog log;
    Events handlers = events();
    handlers.data = [&](Conn& conn, const Bytes& in, Output&) {
      if (in == "block") {
        busy.open();
        EXPECT_TRUE(go_on.wait());
      }
      log.add(conn, in.str());
      return Action::None;
    };
    handlers.closed = [&](Conn& conn, const Error& err) {
      log.add(conn, err.code() == std::errc::connection_reset ? "closed by reset" : "closed: " + err.message());
      return Action::None;
    };
    TestServer server(handlers, address());
    Client client = server.connect();
    client.send_all("block");
    ASSERT_TRUE(busy.wait());
    client.send_all("last words");
    client.reset();
    go_on.open();
    ASSERT_TRUE(log.wait_for("closed by reset"));
    EXPECT_EQ(log.all(), (EventLog::List{"block", "last words", "closed by reset"}));
  }
}

}  // namespace
}  // namespace evio::test
