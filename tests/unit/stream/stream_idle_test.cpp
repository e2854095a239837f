// Timeout::Idle: exactly when nothing has moved for so long, and never earlier. Guarantee 19.
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "tests/unit/stream/stream_timeouts_fixture.hpp"

namespace evio::internal {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

TEST_F(StreamTimeoutsTest, IdleComesWhenNothingHasMovedForSoLong) {
  options_.idle_timeout = 10s;
  note_timeouts();
  std::deque<Turn> turns;
  expect_at(turns, 10s, "idle");
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, InputStartsIdleAnew) {
  options_.idle_timeout = 10s;
  note_timeouts();
  std::deque<Turn> turns{sleep_until(7s), [&] { say_and_report("x"); }, [&] { log_.clear(); }};
  expect_at(turns, 17s, "idle");
  run(std::move(turns));
}

// Its input takes another way then.
TEST_F(StreamTimeoutsTest, InputStartsIdleAnewBesideAWriteTimeout) {
  options_.idle_timeout = 10s;
  options_.write_timeout = 1h;
  note_timeouts();
  std::deque<Turn> turns{sleep_until(7s), [&] { say_and_report("x"); }, [&] { log_.clear(); }};
  expect_at(turns, 17s, "idle");
  run(std::move(turns));
}

// Without any input.
class StreamPushTest : public StreamTimeoutsTest {
 protected:
  void expect_progress(const Turn& push) {
    options_.idle_timeout = 10s;
    note_timeouts();
    std::deque<Turn> turns{sleep_until(7s), push, [] {},
                           [&] {
                             EXPECT_EQ(heard(), "x");
                             log_.clear();
                           }};
    expect_at(turns, 17s, "idle");
    run(std::move(turns));
  }
};

TEST_F(StreamPushTest, WhatAnotherThreadSendsStartsIdleAnew) {
  expect_progress([&] { from_elsewhere([&] { EXPECT_TRUE(conn_.send("x")); }); });
}

TEST_F(StreamPushTest, WhatAnotherThreadSendsInPiecesStartsIdleAnew) {
  events_.data = [](Conn&, const Bytes&, Output&) { return Action::None; };
  expect_progress([&] {
    from_elsewhere([&] {
      EXPECT_TRUE(conn_.wake());
      EXPECT_TRUE(conn_.send("x"));
    });
  });
}

TEST_F(StreamPushTest, WhatAnotherConnectionSendsStartsIdleAnew) {
  expect_progress(meanwhile([&] { EXPECT_TRUE(conn_.send("x")); }));
}

TEST_F(StreamPushTest, TheAnswerToAWakeStartsIdleAnew) {
  events_.data = [](Conn&, const Bytes& in, Output& out) {
    EXPECT_TRUE(in.empty());
    out = "x";
    return Action::None;
  };
  expect_progress([&] { EXPECT_TRUE(conn_.wake()); });
}

TEST_F(StreamPushTest, WhatAPostedFunctionReturnsStartsIdleAnew) {
  expect_progress([&] {
    from_elsewhere([&] {
      EXPECT_TRUE(conn_.post([](Conn&, Output& out) {
        out = "x";
        return Action::None;
      }));
    });
  });
}

TEST_F(StreamPushTest, WhatATimerReturnsStartsIdleAnew) {
  expect_progress([&] {
    conn_.post_after(0ns, [](Conn&, Output& out) {
      out = "x";
      return Action::None;
    });
  });
}

// A peer that reads nothing, and a function that adds to what waits: nothing moves.
TEST_F(StreamTimeoutsTest, OutputThatOnlyWaitsDoesNotStartIdleAnew) {
  options_.idle_timeout = 10s;
  first_output_ = much();
  note_timeouts();
  std::deque<Turn> turns{sleep_until(7s), [&] {
                           EXPECT_TRUE(conn_.post([](Conn&, Output& out) {
                             out = "x";
                             return Action::None;
                           }));
                           EXPECT_TRUE(conn_.send("y"));
                         }};
  // When nobody has looked before, the first look counts as progress.
  turns.push_back(sleep_until(12500ms - 1ns));
  turns.push_back(expect_nothing());
  turns.push_back(sleep_until(12500ms));
  turns.push_back([&] { EXPECT_EQ(log_, Names{"idle"}); });
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, NoneStartsIdleAnew) {
  options_.idle_timeout = 10s;
  note_timeouts();
  std::deque<Turn> turns;
  for (int i = 1; i <= 3; ++i) expect_at(turns, i * 10s, "idle");
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, TheOutputOfATimeoutLeaves) {
  options_.idle_timeout = 10s;
  events_.timeout = [](Conn&, Timeout, Output& out) {
    out = "ping";
    return Action::None;
  };
  run({sleep_until(10s), [&] { EXPECT_EQ(heard(), "ping"); }});
}

TEST_F(StreamTimeoutsTest, TheOutputOfATimeoutLeavesBehindWhatOthersHaveSent) {
  options_.idle_timeout = 10s;
  events_.timeout = [](Conn&, Timeout, Output& out) {
    out = "last";
    return Action::None;
  };
  run({[&] {
         clock_.advance(10s);
         meanwhile_elsewhere([&] { EXPECT_TRUE(conn_.send("first ")); })();
       },
       [&] { EXPECT_EQ(heard(), "first last"); }});
}

TEST_F(StreamTimeoutsTest, CloseAfterIdleHasNoError) {
  options_.idle_timeout = 10s;
  note_timeouts();
  answer_ = Action::Close;
  run({sleep_until(10s), [&] {
         EXPECT_EQ(log_, (Names{"idle", "closed"}));
         EXPECT_TRUE(far_ended());
       }});
}

TEST_F(StreamTimeoutsTest, WhereNobodyIsToldIdleClosesWithTimedOut) {
  options_.idle_timeout = 10s;
  std::error_code code;
  events_.closed = [&](Conn&, const Error& err) {
    log_.push_back("closed: " + err.message());
    code = err.code();
    return Action::None;
  };
  run({sleep_until(10s - 1ns), expect_nothing(), sleep_until(10s), expect_closed("idle timeout")});
  EXPECT_EQ(code, std::errc::timed_out);
}

TEST_F(StreamTimeoutsTest, ATimeoutThatThrowsClosesItsConnection) {
  options_.idle_timeout = 10s;
  events_.timeout = [](Conn&, Timeout, Output& out) -> Action {
    out = "dropped";
    throw std::runtime_error("oh no");
  };
  run({sleep_until(10s), [&] {
         EXPECT_EQ(log_, Names{"closed: oh no"});
         EXPECT_EQ(heard(), "");
         EXPECT_EQ(server_.shut_downs, 0);
       }});
}

TEST_F(StreamTimeoutsTest, WhatComesInTheSameTurnIsNotIdle) {
  options_.idle_timeout = 10s;
  note_timeouts();
  std::deque<Turn> turns{[&] {
                           clock_.advance(10s);
                           say_and_report("x");
                         },
                         [&] {
                           EXPECT_EQ(log_, Names{"data x"});
                           log_.clear();
                         }};
  expect_at(turns, 20s, "idle");
  run(std::move(turns));
}

// A poller reports so many at a time.
TEST_F(StreamTimeoutsTest, InputThatWaitsInTheKernelIsNotIdle) {
  options_.idle_timeout = 10s;
  note_timeouts();
  run({[&] {
         meanwhile([&] {
           clock_.advance(1min);
           say("x");
         })();
       },
       [] {}, expect_nothing(), [&] { report(); }, [&] { EXPECT_EQ(log_, Names{"data x"}); }});
}

// The peer has the answer when the callback has returned, and not before.
TEST_F(StreamTimeoutsTest, ACallbackThatBlocksDoesNotTakeFromTheTimeOfItsPeer) {
  options_.idle_timeout = 10s;
  note_timeouts();
  events_.data = [&](Conn&, const Bytes&, Output& out) {
    clock_.advance(9s);
    out = "answer";
    return Action::None;
  };
  std::deque<Turn> turns{[&] { say_and_report("x"); }};
  expect_at(turns, 19s, "idle");
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, ACallbackThatBlocksForLongerThanTheTimeoutKillsNobody) {
  options_.idle_timeout = 10s;
  note_timeouts();
  events_.data = [&](Conn&, const Bytes&, Output& out) {
    clock_.advance(1min);
    out = "answer";
    return Action::None;
  };
  std::deque<Turn> turns{[&] { say_and_report("x"); }};
  expect_at(turns, 70s, "idle");
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, ACallbackThatBlocksAndGivesItsLoopMoreToDoKillsNobody) {
  options_.idle_timeout = 10s;
  note_timeouts();
  events_.data = [&](Conn& conn, const Bytes& in, Output& out) {
    if (in.empty()) return Action::None;
    clock_.advance(1min);
    out = "answer";
    conn.wake();
    return Action::None;
  };
  std::deque<Turn> turns{[&] { say_and_report("x"); }};
  expect_at(turns, 70s, "idle");
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, ACallbackOfAnotherConnectionThatBlocksKillsNobody) {
  options_.idle_timeout = 10s;
  note_timeouts();
  std::deque<Turn> turns{[&] {
                           meanwhile([&] { clock_.advance(1min); })();
                           say_and_report("x");
                         },
                         [&] { log_.clear(); }};
  expect_at(turns, 70s, "idle");
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, APausedConnectionIsIdleWhenNothingMoves) {
  options_.idle_timeout = 10s;
  note_timeouts();
  std::deque<Turn> turns{[&] { EXPECT_TRUE(conn_.pause()); },
                         [&] { say_and_report("what is not read does not move"); }};
  expect_at(turns, 10s, "idle");
  run(std::move(turns));
}

// A slow reader leaves the socket unwritable for minutes.
TEST_F(StreamTimeoutsTest, IdleIsNotASlowReaderOfAUnixSocket) {
  options_.idle_timeout = 10s;
  first_output_ = much();
  note_timeouts();
  std::deque<Turn> turns;
  for (int i = 1; i <= 4; ++i) {
    turns.push_back(sleep_until(i * 9s));
    turns.push_back([&] { read_a_little(); });
  }
  turns.push_back(expect_nothing());
  turns.push_back(sleep_until(46s - 1ns));
  turns.push_back(expect_nothing());
  turns.push_back(sleep_until(49s));
  turns.push_back([&] { EXPECT_EQ(log_, Names{"idle"}); });
  run(std::move(turns));
}

TEST_F(StreamTimeoutsTest, IdleIsNotASlowReaderOfATcpSocket) {
  make_tcp_pair();
  options_.idle_timeout = 10s;
  first_output_ = std::string(8'000'000, 'x');
  note_timeouts();
  std::deque<Turn> turns;
  for (int i = 1; i <= 30; ++i) {
    turns.push_back(sleep_until(i * 9s));
    turns.push_back([&] { read_a_little(); });
  }
  turns.push_back(expect_nothing());
  turns.push_back([&] { EXPECT_EQ(poller_.interest(fd_), Interest::kWrite) << "it was writable"; });
  run(std::move(turns));
}

// The last acknowledgement is one, too.
TEST_F(StreamTimeoutsTest, IdleBeginsWithTheLastAcknowledgement) {
  make_tcp_pair();
  options_.idle_timeout = 10s;
  first_output_ = std::string(300'000, 'x');  // the kernel holds all of it
  note_timeouts();
  std::deque<Turn> turns{[&] {
                           EXPECT_GT(held(), 0);
                           EXPECT_EQ(conn_.pending(), 0u);
                         },
                         sleep_until(11s), expect_nothing(), sleep_until(12s),
                         [&] {
                           while (held() != 0 && read_some()) {
                           }
                         }};
  turns.push_back(sleep_until(20s));
  turns.push_back(expect_nothing());
  turns.push_back(sleep_until(22s - 1ns));
  turns.push_back(expect_nothing());
  turns.push_back(sleep_until(30s));
  turns.push_back([&] { EXPECT_EQ(log_, Names{"idle"}); });
  run(std::move(turns));
}

}  // namespace
}  // namespace evio::internal
