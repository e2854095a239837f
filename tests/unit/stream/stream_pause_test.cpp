// When the peer is read: while output is pending, and not while paused. Through real loops: guarantees/pause_test.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstddef>
#include <deque>
#include <string>
#include <system_error>
#include <utility>

#include "internal/stream/stream.hpp"
#include "tests/fault/failing_memory.hpp"
#include "tests/unit/stream/flow_fixture.hpp"

namespace evio::internal {
namespace {

using Interest = test::FakePoller::Interest;
class StreamPauseTest : public StreamFlowTest {};

TEST_F(StreamPauseTest, WhatIsSentBeforeAReadBehindPendingOutputLeavesBeforeTheAnswer) {
  options_.read_while_pending = true;
  welcome_ = much();
  events_.data = [&](Conn&, const Bytes&, Output& out) {
    out = "answer";
    return Action::None;
  };
  other_.act = [&] { from_elsewhere([&] { EXPECT_TRUE(conn_.send("sent ")); }); };
  run({[&] {
         poller_.report(other_);
         say_and_report("x");
       },
       hear(much().size() + 11), [&] { EXPECT_TRUE(received_ == much() + "sent answer"); }});
}

TEST_F(StreamPauseTest, AFunctionPostedBeforeAReadBehindPendingOutputIsCalledBefore) {
  options_.read_while_pending = true;
  welcome_ = much();
  other_.act = [&] {
    from_elsewhere([&] {
      EXPECT_TRUE(conn_.post([&](Conn&, Output&) {
        log_.emplace_back("function");
        return Action::None;
      }));
    });
  };
  events_.congested = nullptr;
  events_.drained = nullptr;
  run({[&] {
         poller_.report(other_);
         say_and_report("x");
       },
       [] {},
       [&] {
         EXPECT_EQ(log_, (Names{"function", "data x"}));
       }});
}

// Input and output of one connection share its turns, however fast its peer reads.
TEST_F(StreamPauseTest, ReadsThoughEachTurnWritesSome) {
  options_.read_while_pending = true;
  welcome_ = std::string(5'000'000, 'x');
  events_.congested = nullptr;
  events_.drained = nullptr;
  std::deque<Turn> turns;
  for (int i = 0; i != 10; ++i) {
    turns.emplace_back([this, i] {
      EXPECT_EQ(log_.size(), static_cast<std::size_t>(i));
      hear_some(100'000);
      say_and_report("x");
    });
  }
  turns.emplace_back([&] {
    EXPECT_EQ(log_.size(), 10u);
    EXPECT_GT(conn_.pending(), 0u);
  });
  run(std::move(turns));
}

TEST_F(StreamPauseTest, ReadsThoughDrainedAlwaysProducesMore) {
  options_.read_while_pending = true;
  welcome_ = std::string(500'000, 'x');
  events_.congested = nullptr;
  events_.drained = [](Conn&, Output& out) {
    out = std::string(500'000, 'x');
    return Action::None;
  };
  std::deque<Turn> turns;
  for (int i = 0; i != 10; ++i) {
    turns.emplace_back([this, i] {
      EXPECT_EQ(log_.size(), static_cast<std::size_t>(i));
      while (waits_there() != 0) hear_some(500'000);
      say_and_report("x");
    });
  }
  turns.emplace_back([&] { EXPECT_EQ(log_.size(), 10u); });
  run(std::move(turns));
}

TEST_F(StreamPauseTest, DoesNotReadWhileOutputIsPendingUnlessItMay) {
  welcome_ = much();
  run({[&] {
         EXPECT_EQ(poller_.interest(fd_), Interest::kWrite);
         hear_some(100'000);
         say_and_report("x");
       },
       [&] { EXPECT_EQ(log_, Names{"congested"}); }});
}

TEST_F(StreamPauseTest, IsWatchedForBothIfItReadsWhilePending) {
  options_.read_while_pending = true;
  welcome_ = much();
  run({[&] { EXPECT_EQ(changes(), Names{"add read and write"}); }, hear(much().size()),
       [&] {
         EXPECT_EQ(changes(), (Names{"add read and write", "modify read"}));
       }});
}

TEST_F(StreamPauseTest, APauseHoldsFromTheMomentItReturns) {
  other_.act = [&] { from_elsewhere([&] { EXPECT_TRUE(conn_.pause()); }); };
  run({[&] {
         poller_.report(other_);
         say_and_report("x");
       },
       [&] {
         EXPECT_EQ(log_, Names{});
         EXPECT_EQ(changes(), (Names{"add read", "modify failure"}));
         from_elsewhere([&] { EXPECT_TRUE(conn_.resume()); });
       },
       [&] {
         EXPECT_EQ(changes(), (Names{"add read", "modify failure", "modify read"}));
         report();
       },
       [&] { EXPECT_EQ(log_, Names{"data x"}); }});
}

TEST_F(StreamPauseTest, TheLastOfPauseAndResumeWins) {
  run({[&] {
         from_elsewhere([&] {
           for (int i = 0; i != 5; ++i) EXPECT_TRUE(conn_.pause());
           EXPECT_TRUE(conn_.resume());
         });
         say_and_report("one");
       },
       [&] {
         EXPECT_EQ(log_, Names{"data one"});
         from_elsewhere([&] {
           for (int i = 0; i != 5; ++i) EXPECT_TRUE(conn_.resume());
           EXPECT_TRUE(conn_.pause());
         });
         say_and_report("two");
       },
       [&] { EXPECT_EQ(log_, Names{"data one"}); }});
}

// A note finds the pause, and then the loop comes to what had been reported before.
TEST_F(StreamPauseTest, IsStillWatchedForFailureIfItWasReadyWhenItWasPaused) {
  run({[&] {
         from_elsewhere([&] {
           EXPECT_TRUE(conn_.pause());
           EXPECT_TRUE(conn_.wake());
         });
         say_and_report("x");
       },
       [] {}, [&] { EXPECT_EQ(poller_.interest(fd_), Interest::kFailure); }});
  EXPECT_EQ(before_shutdown(), Names{"data "});
}

TEST_F(StreamPauseTest, AResetIsNoticedWhilePausedBehindWhatHadArrived) {
  make_tcp_pair();
  run({[&] {
         EXPECT_TRUE(conn_.pause());
         say("last words");
         pollfd arrived{fd_, POLLIN, 0};
         ASSERT_EQ(::poll(&arrived, 1, -1), 1);
         const linger now{1, 0};
         ::setsockopt(far_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
         far_.reset();
         pollfd failed{fd_, 0, 0};
         ASSERT_EQ(::poll(&failed, 1, -1), 1);
         report();
       },
       [&] { report(); }, [&] { EXPECT_FALSE(near_is_open()); }});
  ASSERT_EQ(before_shutdown().size(), 2u);
  EXPECT_EQ(log_[0], "data last words");
  EXPECT_EQ(log_[1].rfind("closed: read ", 0), 0u) << log_[1];
}

TEST_F(StreamPauseTest, AUnixPeerThatIsGoneIsNotWatchedWhilePaused) {
  run({[&] {
         EXPECT_TRUE(conn_.pause());
         say("last words");
         far_.reset();
         report();
       },
       [&] { report(); },
       [&] {
         EXPECT_FALSE(poller_.watches(fd_)) << "it would be reported by every wait";
         from_elsewhere([&] { EXPECT_TRUE(conn_.wake()); });
       },
       [&] {
         EXPECT_EQ(log_, Names{"data "});
         if (poller_.watches(fd_)) report();
       },
       [&] {
         EXPECT_FALSE(poller_.watches(fd_));
         from_elsewhere([&] { EXPECT_TRUE(conn_.resume()); });
       },
       [&] { report(); }, [&] { report(); }, [&] { EXPECT_FALSE(near_is_open()); }});
  EXPECT_EQ(before_shutdown(), (Names{"data ", "data last words", "closed"}));
}

TEST_F(StreamPauseTest, WhatIsWrittenToAUnixPeerThatIsGoneWhilePausedClosesItBehindItsInput) {
  run({[&] {
         EXPECT_TRUE(conn_.pause());
         say("last words");
         far_.reset();
         report();
       },
       [&] { report(); }, [&] { from_elsewhere([&] { EXPECT_TRUE(conn_.send("x")); }); }, [] {}});
  ASSERT_EQ(before_shutdown().size(), 2u);
  EXPECT_EQ(log_[0], "data last words");
  EXPECT_EQ(log_[1].rfind("closed: write ", 0), 0u) << log_[1];
}

TEST_F(StreamPauseTest, APausedConnectionIsClosedByAShutdownThoughItIsWatchedNoMore) {
  run({[&] {
         EXPECT_TRUE(conn_.pause());
         far_.reset();
         report();
       },
       [&] { report(); }, [&] { EXPECT_FALSE(poller_.watches(fd_)); }});
  EXPECT_EQ(log_, (Names{"shutdown", "closed"}));
}

// Whatever allocation fails on the way to the words for `closed`.
class StreamPauseMemoryTest : public StreamPauseTest, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Allocation, StreamPauseMemoryTest, testing::Range(0, 6));

TEST_P(StreamPauseMemoryTest, AResumeThatCannotBeWatchedCostsItsConnection) {
  events_.closed = [&](Conn&, const Error&) {
    test::may_fail = false;  // for good: what the poller of the test needs is not at stake
    log_.emplace_back("closed");
    return Action::None;
  };
  run({[&] {
         EXPECT_TRUE(conn_.pause());
         say_and_report("x");
       },
       [&] {
         from_elsewhere([&] { EXPECT_TRUE(conn_.resume()); });
         poller_.refuse_next(std::errc::not_enough_memory);
         test::fail_allocations(GetParam());
         test::may_fail = true;
       },
       [&] {
         test::fail_no_more();
         EXPECT_EQ(log_.back(), "closed");
         EXPECT_FALSE(near_is_open());
       }});
}

}  // namespace
}  // namespace evio::internal
