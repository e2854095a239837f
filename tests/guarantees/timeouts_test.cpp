// Guarantee 19: what `timeout` is called for, when, and what comes of what it returns.
#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <system_error>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

constexpr auto kShort = 100ms;

const char* name_of(Timeout what) {
  return what == Timeout::Idle ? "idle" : what == Timeout::Write ? "write" : "deadline";
}

class TimeoutsTest : public ModeTest {
 protected:
  // A server whose connections have these options, and say in the log what happens to them.
  Events handlers(const Options& options) {
    Events handlers = events();
    note_all(handlers, log_);
    handlers.opened = [this, options](Conn& conn, Output& out, Options& opts) {
      opts = options;
      out = first_output_;
      conn.expires_after(deadline_);
      const std::lock_guard lock(mutex_);
      conn_ = conn;
      began_ = std::chrono::steady_clock::now();
      return Action::None;
    };
    return handlers;
  }
  // What `timeout` returns when it is called the n-th time.
  void answer(Events& handlers, std::vector<Action> answers) {
    handlers.timeout = [this, answers = std::move(answers), n = std::size_t{0}](Conn& conn, Timeout what,
                                                                                Output&) mutable {
      EXPECT_GE(since_opened(), kShort * static_cast<int>(n + 1));
      log_.add(conn, name_of(what));
      EXPECT_LT(n, answers.size());
      return answers.at(n++);
    };
  }
  std::chrono::steady_clock::duration since_opened() {
    const std::lock_guard lock(mutex_);
    return std::chrono::steady_clock::now() - began_;
  }
  Conn conn() {
    const std::lock_guard lock(mutex_);
    return conn_;
  }
  std::string closed_by(const std::string& which) {
    const Conn c = conn();
    return "closed: " + c.remote_addr().network() + " " + c.local_addr().to_string() + "->" +
           c.remote_addr().to_string() + ": " + which + ": " + std::make_error_code(std::errc::timed_out).message();
  }
  // The peer has a part of the output, and then no more.
  static void expect_cut_off(Client& client, std::size_t less_than) {
    EXPECT_LT(client.receive_all().size(), less_than);
    if (mode().is_tcp()) {
      EXPECT_EQ(client.error(), std::errc::connection_reset);
    } else {
      EXPECT_TRUE(client.at_end()) << client.error().message();
    }
  }

  static constexpr Client::Tuning kSmall{.receive_buffer = 65'536};
  EventLog log_;
  std::string first_output_;
  std::chrono::nanoseconds deadline_{0};

 private:
  std::mutex mutex_;
  Conn conn_;
  std::chrono::steady_clock::time_point began_;
};
EVIO_INSTANTIATE(TimeoutsTest, with_tls(all_modes()));

TEST_P(TimeoutsTest, UnsetIdleClosesWithTimedOutAndSaysWhich) {
  TestServer server(handlers({.idle_timeout = kShort}), address());
  Client client = server.connect();
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_TRUE(client.at_end());
  EXPECT_GE(since_opened(), kShort);
  EXPECT_EQ(log_.all(), EventLog::List{closed_by("idle timeout")});
}

TEST_P(TimeoutsTest, NoneStartsIdleAnewAndCloseHasNoError) {
  Events mine = handlers({.idle_timeout = kShort});
  answer(mine, {Action::None, Action::None, Action::Close});
  TestServer server(mine, address());
  Client client = server.connect();
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_TRUE(client.at_end());
  EXPECT_EQ(log_.all(), (EventLog::List{"idle", "idle", "idle", "closed"}));
}

TEST_P(TimeoutsTest, WriteAbortsWithTimedOutAndSaysWhich) {
  first_output_ = pattern(8'000'000);
  TestServer server(handlers({.write_timeout = kShort}), address());
  Client client(server.addr(), kSmall);
  EXPECT_TRUE(eventually([&] { return log_.all().size() == 1; }));
  EXPECT_GE(since_opened(), kShort);
  EXPECT_EQ(log_.all(), EventLog::List{closed_by("write timeout")});
  expect_cut_off(client, first_output_.size());
}

TEST_P(TimeoutsTest, NoneStartsWriteAnewAndCloseAbortsWithTimedOut) {
  first_output_ = pattern(8'000'000);
  Events mine = handlers({.write_timeout = kShort});
  answer(mine, {Action::None, Action::Close});
  TestServer server(mine, address());
  Client client(server.addr(), kSmall);
  EXPECT_TRUE(log_.wait_for("write", 2));
  EXPECT_TRUE(eventually([&] { return log_.all().size() == 3; }));
  EXPECT_EQ(log_.all(), (EventLog::List{"write", "write", closed_by("write timeout")}));
  expect_cut_off(client, first_output_.size());
}

TEST_P(TimeoutsTest, ADeadlineComesOnceAndCloseHasNoError) {
  deadline_ = kShort;
  Events mine = handlers({});
  answer(mine, {Action::None, Action::Close});
  TestServer server(mine, address());
  Client client = server.connect();
  ASSERT_TRUE(log_.wait_for("deadline"));
  client.send_all("x");
  EXPECT_EQ(client.receive(1), "x");
  EXPECT_EQ(log_.count("deadline"), 1u);
  EXPECT_TRUE(conn().expires_after(kShort));
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_TRUE(client.at_end());
  EXPECT_EQ(log_.all(), (EventLog::List{"deadline", "data", "deadline", "closed"}));
  EXPECT_FALSE(conn().expires_after(kShort));
}

TEST_P(TimeoutsTest, AnUnsetDeadlineClosesWithTimedOutAndSaysWhich) {
  TestServer server(handlers({}), address());
  Client client = server.connect();
  client.send_all("x");
  EXPECT_EQ(client.receive(1), "x");
  EXPECT_TRUE(conn().expires_after(kShort));
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_EQ(log_.all(), (EventLog::List{"data", closed_by("deadline")}));
}

TEST_P(TimeoutsTest, APausedConnectionIsIdleAndIsNotRead) {
  Events mine = handlers({.idle_timeout = kShort});
  answer(mine, {Action::Close});
  mine.opened = [opened = std::move(mine.opened)](Conn& conn, Output& out, Options& opts) {
    EXPECT_TRUE(conn.pause());
    return opened(conn, out, opts);
  };
  TestServer server(mine, address());
  Client client = server.connect();
  client.send_all("unread");
  client.receive_all();
  EXPECT_EQ(log_.all(), (EventLog::List{"idle", "closed"}));
}

// What has arrived when the loop goes on is heard first, and the time of its sender begins anew.
TEST_P(TimeoutsTest, ACallbackThatBlocksItsLoopKillsNobody) {
  Gate blocked;
  Gate go_on;
  const OpensAtEnd always(go_on);
  Events mine = handlers({.idle_timeout = kShort});
  mine.data = [&](Conn& conn, const Bytes& in, Output& out) {
    log_.add(conn, "data");
    if (in == "x") {
      blocked.open();
      EXPECT_TRUE(go_on.wait());
    }
    return echo(conn, in, out);
  };
  mine.timeout = [&](Conn& conn, Timeout, Output&) {
    if (!blocked.is_open()) return Action::None;
    log_.add(conn, "idle");
    return Action::Close;
  };
  TestServer server(mine, address());
  Client client = server.connect();
  client.send_all("x");
  ASSERT_TRUE(blocked.wait());
  const Stopwatch stopwatch;
  client.send_all("y");
  EXPECT_TRUE(eventually([&] { return stopwatch.milliseconds() > 2 * kShort.count(); }));
  go_on.open();
  EXPECT_EQ(client.receive_all(), "xy");
  EXPECT_TRUE(client.at_end());
  EXPECT_EQ(log_.all(), (EventLog::List{"data", "data", "idle", "closed"}));
}

TEST_P(TimeoutsTest, AShutdownWaitsForNoTimeout) {
  deadline_ = 1h;
  TestServer server(handlers({.idle_timeout = 1h, .write_timeout = 1h}), address());
  Client client = server.connect();
  client.send_all("x");
  EXPECT_EQ(client.receive(1), "x");
  server.shutdown();
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"data", "closed"}));
}

// What is armed for later wakes nobody, and each that is due wakes its loop once at most.
TEST_P(TimeoutsTest, AnIdleServerWakesUpAtMostOnceForEach) {
  Counter told;
  Events handlers = events();
  handlers.opened = [](Conn& conn, Output& out, Options& opts) {
    opts.idle_timeout = conn.id() % 2 == 0 ? 1h : std::chrono::nanoseconds(20ms);
    opts.write_timeout = 1h;
    out = "+";
    return Action::None;
  };
  handlers.timeout = [&](Conn&, Timeout, Output&) {
    told.add();
    return Action::None;
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (int i = 0; i != 100; ++i) {
    clients.push_back(server.connect());
    EXPECT_EQ(clients.back().receive(1), "+");
  }
  const Stats before = server.handle().stats();
  ASSERT_TRUE(told.wait_for(told.value() + 1000));
  const Stats after = server.handle().stats();
  // The figures of a loop are not of one moment; a second wake-up for each would double them.
  EXPECT_LT(after.turns - before.turns, (after.timers - before.timers) * 5 / 4);
}

}  // namespace
}  // namespace evio::test
