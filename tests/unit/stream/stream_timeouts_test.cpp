// Timeout::Write and Timeout::Deadline: exactly when, and never earlier; and what timeouts cost. Guarantee 19.
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <system_error>
#include <utility>

#include "tests/unit/stream/stream_timeouts_fixture.hpp"

namespace {
int ioctls = 0;
}  // namespace

extern "C" {
int __real_ioctl(int fd, unsigned long request, void* argument);
int __wrap_ioctl(int fd, unsigned long request, void* argument) {
  ++ioctls;
  return __real_ioctl(fd, request, argument);
}
}

namespace evio::internal {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

// Write

TEST_F(StreamTimeoutsTest, WriteComesWhenTheKernelHasTakenNothingForSoLong) {
  options_.write_timeout = 10s;
  first_output_ = much();
  note_timeouts();
  std::deque<Turn> turns{sleep_until(10s - 1ns), expect_nothing(), sleep_until(12500ms),
                         [&] { EXPECT_EQ(log_, Names{"write"}); }};
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, WriteDoesNotComeWhileNothingWaits) {
  options_.write_timeout = 10s;
  note_timeouts();
  std::deque<Turn> turns{[&] { say_and_report("x"); }, [&] { log_.clear(); }, sleep_until(100s), expect_nothing()};
  run(std::move(turns));
  EXPECT_LT(poller_.timeouts()[1], 0ns) << "a timer that nobody needs";
}

TEST_F(StreamTimeoutsTest, WriteBeginsWhenOutputBeginsToWait) {
  options_.write_timeout = 10s;
  note_timeouts();
  events_.data = [](Conn&, const Bytes&, Output& out) {
    out = much();
    return Action::None;
  };
  std::deque<Turn> turns{sleep_until(100s), [&] { say_and_report("x"); }, sleep_until(110s - 1ns),
                         expect_nothing(),  sleep_until(112500ms),        [&] { EXPECT_EQ(log_, Names{"write"}); }};
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, WriteBeginsWhenTheCallbackThatBlockedHasReturned) {
  options_.write_timeout = 10s;
  note_timeouts();
  events_.data = [&](Conn&, const Bytes&, Output& out) {
    clock_.advance(1min);
    out = much();
    return Action::None;
  };
  std::deque<Turn> turns{[&] { say_and_report("x"); }, sleep_until(70s - 1ns), expect_nothing(), sleep_until(72500ms),
                         [&] { EXPECT_EQ(log_, Names{"write"}); }};
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, WriteStartsAnewWhenTheKernelTakesSome) {
  options_.write_timeout = 10s;
  first_output_ = much();
  note_timeouts();
  std::deque<Turn> turns{sleep_until(9s),
                         [&] {
                           heard();
                           report();
                         },
                         sleep_until(19s - 1ns),
                         expect_nothing(),
                         sleep_until(21500ms),
                         [&] { EXPECT_EQ(log_, Names{"write"}); }};
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, WriteIsNotASlowReader) {
  options_.write_timeout = 10s;
  first_output_ = much();
  note_timeouts();
  std::deque<Turn> turns;
  for (int i = 1; i <= 4; ++i) {
    turns.push_back(sleep_until(i * 9s));
    turns.push_back([&] { read_a_little(); });
  }
  turns.push_back(sleep_until(46s - 1ns));
  turns.push_back(expect_nothing());
  turns.push_back(sleep_until(49s));
  turns.push_back([&] { EXPECT_EQ(log_, Names{"write"}); });
  run(std::move(turns));
}

// Input is no progress outwards.
TEST_F(StreamTimeoutsTest, WriteComesThoughThePeerSends) {
  options_.write_timeout = 10s;
  options_.read_while_pending = true;
  first_output_ = much();
  note_timeouts();
  std::deque<Turn> turns;
  for (int i = 1; i <= 12; ++i) {
    turns.push_back(sleep_until(i * 1s));
    turns.push_back([&] { say_and_report("x"); });
    turns.push_back([&] { std::erase(log_, "data x"); });
  }
  turns.push_back(sleep_until(12500ms));
  turns.push_back([&] { EXPECT_EQ(log_, Names{"write"}); });
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, WriteComesForWhatTheKernelHoldsUnacknowledged) {
  make_tcp_pair();
  options_.write_timeout = 10s;
  first_output_ = std::string(300'000, 'x');
  note_timeouts();
  std::deque<Turn> turns{[&] {
                           EXPECT_GT(held(), 0);
                           EXPECT_EQ(conn_.pending(), 0u);
                         },
                         sleep_until(10s - 1ns), expect_nothing(), sleep_until(22s)};
  turns.push_back([&] { EXPECT_EQ(log_, Names{"write"}); });
  run(std::move(turns));
}

// What it has taken is with its peer.
TEST_F(StreamTimeoutsTest, WriteDoesNotComeForWhatAUnixPeerHasNotRead) {
  options_.write_timeout = 10s;
  first_output_ = "unread";
  note_timeouts();
  run({sleep_until(100s), expect_nothing()});
}

TEST_F(StreamTimeoutsTest, NoneStartsWriteAnew) {
  options_.write_timeout = 10s;
  first_output_ = much();
  note_timeouts();
  std::deque<Turn> turns{sleep_until(12500ms), [&] {
                           EXPECT_EQ(log_, Names{"write"});
                           log_.clear();
                         }};
  expect_at(turns, 22500ms, "write");
  expect_at(turns, 32500ms, "write");
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, CloseAfterWriteAbortsWithTimedOut) {
  make_tcp_pair();
  options_.write_timeout = 10s;
  first_output_ = std::string(8'000'000, 'x');
  events_.timeout = [&](Conn& conn, Timeout what, Output& out) {
    EXPECT_EQ(what, Timeout::Write);
    EXPECT_GT(conn.pending(), 0u);
    EXPECT_GE(elapsed(), 10s);
    out = "dropped";
    return Action::Close;
  };
  run({sleep_until(40s), expect_closed("write timeout"), [&] { EXPECT_TRUE(far_was_reset()); }});
}

TEST_F(StreamTimeoutsTest, WhereNobodyIsToldWriteAbortsWithTimedOut) {
  make_tcp_pair();
  options_.write_timeout = 10s;
  first_output_ = std::string(8'000'000, 'x');
  run({sleep_until(10s - 1ns), expect_nothing(), sleep_until(40s), expect_closed("write timeout"),
       [&] { EXPECT_TRUE(far_was_reset()); }});
}

TEST_F(StreamTimeoutsTest, AfterOtherTimeoutsWhatWaitsStillLeaves) {
  options_.idle_timeout = 10s;
  first_output_ = much();
  note_timeouts();
  answer_ = Action::Close;
  run({sleep_until(12500ms),
       [&] {
         EXPECT_EQ(log_, Names{"idle"});
         log_.clear();
       },
       hear(much().size()), [&] { EXPECT_EQ(log_, Names{"closed"}); }});
  EXPECT_EQ(received_.size(), much().size());
}

// Deadline

TEST_F(StreamTimeoutsTest, ADeadlineComesOnce) {
  note_timeouts();
  std::deque<Turn> turns{[&] { EXPECT_TRUE(conn_.expires_after(10s)); },
                         [&] { EXPECT_EQ(poller_.last_timeout(), 10s); }};
  expect_at(turns, 10s, "deadline");
  turns.push_back(sleep_until(100s));
  turns.push_back(expect_nothing());
  turns.push_back([&] { EXPECT_LT(poller_.last_timeout(), 0ns); });
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, ADeadlineComesThoughAllMoves) {
  note_timeouts();
  std::deque<Turn> turns{[&] { EXPECT_TRUE(conn_.expires_after(10s)); }};
  for (int i = 1; i < 10; ++i) {
    turns.push_back(sleep_until(i * 1s));
    turns.push_back([&] { say_and_report("x"); });
    turns.push_back([&] { log_.clear(); });
  }
  expect_at(turns, 10s, "deadline");
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, ADeadlineReplacesTheLast) {
  note_timeouts();
  std::deque<Turn> turns{[&] {
    EXPECT_TRUE(conn_.expires_after(10s));
    EXPECT_TRUE(conn_.expires_after(5s));
    EXPECT_TRUE(conn_.expires_after(20s));
  }};
  expect_at(turns, 20s, "deadline");
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, ZeroOrLessIsNoDeadline) {
  note_timeouts();
  run({[&] {
         EXPECT_TRUE(conn_.expires_after(10s));
         EXPECT_TRUE(conn_.expires_after(0s));
       },
       sleep_until(20s), expect_nothing(),
       [&] {
         EXPECT_TRUE(conn_.expires_after(10s));
         EXPECT_TRUE(conn_.expires_after(-1s));
       },
       sleep_until(100s), expect_nothing()});
}

TEST_F(StreamTimeoutsTest, AnotherThreadMaySetADeadline) {
  note_timeouts();
  std::deque<Turn> turns{[&] { from_elsewhere([&] { EXPECT_TRUE(conn_.expires_after(10s)); }); },
                         [&] {
                           clock_.advance(5s);
                           from_elsewhere([&] { EXPECT_TRUE(conn_.expires_after(10s)); });
                         }};
  expect_at(turns, 15s, "deadline");
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, ADeadlineMaySetTheNext) {
  events_.timeout = [&](Conn& conn, Timeout, Output&) {
    log_.emplace_back("deadline");
    EXPECT_TRUE(conn.expires_after(10s));
    return Action::None;
  };
  std::deque<Turn> turns{[&] { EXPECT_TRUE(conn_.expires_after(10s)); }};
  for (int i = 1; i <= 3; ++i) expect_at(turns, i * 10s, "deadline");
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, CloseAfterADeadlineHasNoError) {
  note_timeouts();
  answer_ = Action::Close;
  run({[&] { EXPECT_TRUE(conn_.expires_after(10s)); }, sleep_until(10s),
       [&] {
         EXPECT_EQ(log_, (Names{"deadline", "closed"}));
       }});
}

TEST_F(StreamTimeoutsTest, WhereNobodyIsToldADeadlineClosesWithTimedOut) {
  run({[&] { EXPECT_TRUE(conn_.expires_after(10s)); }, sleep_until(10s - 1ns), expect_nothing(), sleep_until(10s),
       expect_closed("deadline")});
}

TEST_F(StreamTimeoutsTest, ADeadlineDoesNotStartIdleAnew) {
  options_.idle_timeout = 10s;
  note_timeouts();
  std::deque<Turn> turns{[&] { EXPECT_TRUE(conn_.expires_after(6s)); }};
  expect_at(turns, 6s, "deadline");
  expect_at(turns, 10s, "idle");
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, IsNotCalledOnceAConnectionCloses) {
  options_.idle_timeout = 10s;
  options_.write_timeout = 11s;
  events_.close_timeout = 1h;
  first_output_ = much();
  note_timeouts();
  std::deque<Turn> turns{[&] {
                           EXPECT_TRUE(conn_.expires_after(5s));
                           EXPECT_TRUE(conn_.close());
                           EXPECT_FALSE(conn_.expires_after(5s));
                         },
                         sleep_until(11s - 1ns), expect_nothing(), sleep_until(20s), expect_closed("close timeout")};
  run(std::move(turns));
}

// Cost

TEST_F(StreamTimeoutsTest, AMessageMovesNoTimerAndMakesNoCall) {
  options_.idle_timeout = 10s;
  options_.write_timeout = 20s;
  events_.data = [](Conn&, const Bytes& in, Output& out) {
    out = in;
    return Action::None;
  };
  int reads = 0;
  constexpr int kMessages = 20;
  std::deque<Turn> turns{[&] { say_and_report("x"); },
                         [&] {
                           ioctls = 0;
                           reads = clock_.reads();
                         }};
  for (int i = 1; i <= kMessages; ++i) turns.push_back([&] { say_and_report("x"); });
  turns.push_back([&] {
    // Each turn reads it when it begins, and to know how long it may wait.
    EXPECT_EQ(clock_.reads() - reads, 2 * (kMessages + 1));
    EXPECT_EQ(ioctls, 0);
  });
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, AMessageOnlyStoresTheTimeOfItsTurn) {
  options_.idle_timeout = 10s;
  note_timeouts();
  run({[&] {
         clock_.advance(6s);
         say_and_report("x");
       },
       [&] { EXPECT_EQ(poller_.last_timeout(), 4s) << "it was armed anew"; }, sleep_until(10s),
       [&] { EXPECT_EQ(poller_.last_timeout(), 6s) << "it is armed for what is left"; }});
}

}  // namespace
}  // namespace evio::internal
