// Guarantee 26: figures are exact. Of datagrams: udp/stats_test; of failures: fault/notice_test.
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class StatsTest : public ModeTest {
 protected:
  void start(Events handlers) {
    handlers.closed = [this](Conn&, const Error&) {
      closed_.add();
      return Action::None;
    };
    server_ = std::make_unique<TestServer>(std::move(handlers), address());
  }
  Stats stats(int loop = -1) const { return server_->handle().stats(loop); }
  void TearDown() override {
    server_.reset();
    ModeTest::TearDown();
  }

  Counter closed_;
  std::unique_ptr<TestServer> server_;
};
EVIO_INSTANTIATE(StatsTest, with_tls(all_modes()));

TEST_P(StatsTest, AgreeWithWhatTheClientsCount) {
  constexpr std::size_t kClients = 20;
  Events handlers = events();
  handlers.data = echo;
  start(handlers);
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < kClients; ++i) {
    Client client = server_->connect();
    const std::string text = pattern(1'000 * (i + 1));
    ASSERT_TRUE(client.send_all(text));
    ASSERT_EQ(client.receive(text.size()), text);
    bytes += text.size();
  }
  ASSERT_TRUE(closed_.wait_for(kClients));
  const Stats all = stats();
  EXPECT_EQ(all.accepted, kClients);
  EXPECT_EQ(all.closed, kClients);
  EXPECT_EQ(all.connections, 0u);
  EXPECT_EQ(all.bytes_read, bytes);
  EXPECT_EQ(all.bytes_written, bytes);
  EXPECT_GE(all.reads, kClients);
  EXPECT_GE(all.writes, kClients);
  EXPECT_GE(all.turns, kClients);
  EXPECT_EQ(all.aborted + all.timed_out + all.rejected + all.refused_sends + all.accept_errors, 0u);
  Stats sum;
  for (int loop = 0; loop < server_->handle().num_loops(); ++loop) {
    sum.accepted += stats(loop).accepted;
    sum.bytes_read += stats(loop).bytes_read;
  }
  EXPECT_EQ(sum.accepted, kClients);
  EXPECT_EQ(sum.bytes_read, bytes);
}

TEST_P(StatsTest, CountBeforeTheCallbackThatTellsOfIt) {
  Events handlers = events();
  Server server;
  std::size_t received = 0;
  handlers.serving = [&](const Server& handle) {
    server = handle;
    return Action::None;
  };
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    EXPECT_EQ(server.stats(conn.loop_index()).accepted, 1u);
    EXPECT_EQ(server.stats().connections, 1u);
    return Action::None;
  };
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    received += in.size();
    EXPECT_EQ(server.stats(conn.loop_index()).bytes_read, received);
    out = in;
    return Action::None;
  };
  start(handlers);
  Client client = server_->connect();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(client.send_all("0123456789"));
    ASSERT_EQ(client.receive(10), "0123456789");
    const std::uint64_t written = 10u * static_cast<std::uint64_t>(i + 1);
    EXPECT_TRUE(eventually([&] { return stats().bytes_written == written; })) << "counted when send(2) has returned";
  }
}

// What a socket takes in part is counted as it takes it, and what waits is counted meanwhile.
TEST_P(StatsTest, AreExactWhileOutputWaits) {
  const std::string much = pattern(8'000'000);  // more than sockets hold
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes&, Output& out) {
    out = much;
    return Action::None;
  };
  start(handlers);
  Client client(server_->addr(), {.receive_buffer = 131'072});
  ASSERT_TRUE(client.send_all("x"));
  const std::size_t all = much.size();
  // While the loop writes, its two figures are of two moments.
  EXPECT_TRUE(eventually([&] {
    const Stats now = stats();
    return now.pending != 0 && now.bytes_written + now.pending == all;
  })) << stats().bytes_written
      << " + " << stats().pending << " of " << all;
  EXPECT_TRUE(client.receive(all) == much);
  EXPECT_TRUE(eventually([&] { return stats().bytes_written == all && stats().pending == 0; }))
      << stats().bytes_written << " and " << stats().pending << " of " << all;
}

TEST_P(StatsTest, WhatIsDroppedWaitsNoMore) {
  Events handlers = events();
  handlers.opened = [](Conn& conn, Output& out, Options&) {
    out = std::string(8'000'000, 'x');
    conn.expires_after(std::chrono::milliseconds(1));
    return Action::None;
  };
  handlers.timeout = [](Conn& conn, Timeout, Output&) {
    conn.abort();
    return Action::None;
  };
  start(handlers);
  Client client(server_->addr(), {.receive_buffer = 131'072});
  ASSERT_TRUE(closed_.wait_for(1));
  EXPECT_EQ(stats().pending, 0u);
  EXPECT_EQ(stats().aborted, 1u);
  EXPECT_GT(stats().bytes_written, 0u);
}

TEST_P(StatsTest, OutliveTheServer) {
  Events handlers = events();
  handlers.data = echo;
  start(handlers);
  Client client = server_->connect();
  ASSERT_TRUE(client.send_all("hello"));
  ASSERT_EQ(client.receive(5), "hello");
  const Server server = server_->handle();
  server.shutdown();
  server_->wait();
  EXPECT_EQ(server.stats().bytes_read, 5u);
  EXPECT_EQ(server.stats().closed, 1u);
  EXPECT_EQ(server.stats().connections, 0u);
}

TEST_P(StatsTest, OfNoSuchLoopAreZero) {
  start(events());
  Counter ran;
  for (int loop = 0; loop != loops(); ++loop) {
    ASSERT_TRUE(server_->handle().post(loop, [&] {
      ran.add();
      return Action::None;
    }));
  }
  ASSERT_TRUE(ran.wait_for(static_cast<std::size_t>(loops())));
  for (int loop = 0; loop != loops(); ++loop) EXPECT_GT(stats(loop).turns, 0u);
  for (const int loop : {-1'000, -2, loops(), 1'000}) EXPECT_EQ(stats(loop).turns, 0u) << loop;
  EXPECT_EQ(Server().stats().turns, 0u);
}

TEST_P(StatsTest, WaitForNoLoop) {
  start(events());
  Gate busy;
  Gate go_on;
  const OpensAtEnd opens(go_on);
  ASSERT_TRUE(server_->handle().post(0, [&] {
    busy.open();
    EXPECT_TRUE(go_on.wait());
    return Action::None;
  }));
  ASSERT_TRUE(busy.wait());
  EXPECT_GT(stats(0).turns, 0u);
  go_on.open();
  server_->shutdown();
  EXPECT_FALSE(server_->wait());
}

TEST_P(StatsTest, CountTheTimersThatRan) {
  start(events());
  Counter ran;
  const Server& server = server_->handle();
  for (int i = 0; i != 5; ++i) {
    server.post_after(loops() - 1, std::chrono::nanoseconds(0), [&] {
      ran.add();
      return Action::None;
    });
    EXPECT_TRUE(server.post_after(loops() - 1, std::chrono::hours(1), [] { return Action::None; }).cancel());
  }
  ASSERT_TRUE(ran.wait_for(5));
  EXPECT_EQ(stats(loops() - 1).timers, 5u);
  EXPECT_EQ(stats().timers, 5u);
}

TEST_P(StatsTest, TellWhomATimeoutHasClosed) {
  using std::chrono::milliseconds;
  struct Case {
    const char* what;
    Options options;
    bool has_deadline;
    bool closes;                  // at once, with output that is not read
    std::vector<Action> answers;  // of `timeout`, which is unset without any
    std::uint64_t timers, aborted;
  };
  const Options idle{.idle_timeout = milliseconds(1)};
  const Options write{.write_timeout = milliseconds(1)};
  for (const Case& each : {
           Case{"idle", idle, false, false, {}, 1, 0},
           Case{"idle, asked", idle, false, false, {Action::None, Action::Close}, 2, 0},
           Case{"write", write, false, false, {}, 1, 1},
           Case{"write, asked", write, false, false, {Action::None, Action::Close}, 2, 1},
           Case{"deadline", {}, true, false, {}, 1, 0},
           Case{"deadline, asked", {}, true, false, {Action::Close}, 1, 0},
           Case{"close", {}, false, true, {}, 0, 1},
       }) {
    SCOPED_TRACE(each.what);
    Events handlers = events();
    if (each.aborted != 0) handlers.close_timeout = milliseconds(1);  // else late acknowledgements might abort it
    handlers.opened = [&](Conn& conn, Output& out, Options& opts) {
      opts = each.options;
      if (each.aborted != 0) out = std::string(8'000'000, 'x');
      if (each.has_deadline) conn.expires_after(milliseconds(1));
      return each.closes ? Action::Close : Action::None;
    };
    std::size_t n = 0;
    if (!each.answers.empty()) {
      handlers.timeout = [&](Conn&, Timeout, Output&) {
        EXPECT_EQ(stats().timed_out, 0u);
        return n < each.answers.size() ? each.answers[n++] : Action::None;
      };
    }
    const std::size_t closed = closed_.value();
    start(handlers);
    Client client(server_->addr(), {.receive_buffer = 65'536});
    ASSERT_TRUE(closed_.wait_for(closed + 1));
    EXPECT_EQ(stats().timed_out, 1u);
    EXPECT_EQ(stats().timers, each.timers);
    EXPECT_EQ(stats().aborted, each.aborted);
    server_.reset();
  }
}

TEST_P(StatsTest, CountNotesAndWhatAnotherThreadWakes) {
  start(events());
  const int loop = loops() - 1;
  ASSERT_TRUE(all_sleep());
  const Stats before = stats(loop);
  for (std::uint64_t n = 1; n != 4; ++n) {
    Gate ran;
    ASSERT_TRUE(server_->handle().post(loop, [&] {
      EXPECT_EQ(stats(loop).notes, before.notes + n);
      ran.open();
      return Action::None;
    }));
    ASSERT_TRUE(ran.wait());
    ASSERT_TRUE(all_sleep());
    EXPECT_EQ(stats(loop).wake_ups, before.wake_ups + n);
  }
}

TEST_P(StatsTest, TellWhatWasAbortedTimedOutAndRefused) {
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output&, Options& opts) {
    opts.max_pending = 10;
    opts.idle_timeout = std::chrono::milliseconds(1);
    EXPECT_TRUE(conn.send("refused only later"));  // the limit holds from when `opened` has returned
    return Action::None;
  };
  handlers.timeout = [](Conn& conn, Timeout, Output&) {
    EXPECT_FALSE(conn.send("more than ten bytes"));
    conn.abort();
    return Action::None;
  };
  start(handlers);
  Client client = server_->connect();
  ASSERT_TRUE(closed_.wait_for(1));
  EXPECT_EQ(stats().aborted, 1u);
  EXPECT_EQ(stats().refused_sends, 1u);
  EXPECT_GE(stats().timers, 1u);
  EXPECT_EQ(stats().pending, 0u);
}

}  // namespace
}  // namespace evio::test
