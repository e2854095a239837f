// A connection from its beginning until something ends it: what it is watched for, what it reads and writes, and in
// which order. How it ends is in stream_close_test.cpp.
#include "internal/stream/stream.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <deque>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "tests/unit/stream/stream_fixture.hpp"

namespace evio::internal {
namespace {

TEST_F(StreamTest, IsWatchedForInputWhenOpenedHasReturned) {
  events_.opened = [&](Conn& conn, Output& out, Options&) {
    EXPECT_EQ(conn, conn_);
    EXPECT_FALSE(poller_.watches(fd_));
    out = "welcome";
    return Action::None;
  };
  run({[&] {
    EXPECT_EQ(heard(), "welcome");
    EXPECT_EQ(changes(), Names{"add read"});
  }});
}

TEST_F(StreamTest, IsWatchedForRoomAloneIfOpenedHasFilledTheSocket) {
  events_.opened = [&](Conn&, Output& out, Options&) {
    out = much();
    return Action::None;
  };
  run({[&] {
         EXPECT_EQ(changes(), Names{"add write"});
         say_and_report("input");  // there is no room yet
       },
       [&] { EXPECT_EQ(log_, Names{}) << "input waits while output does"; }, hear(much().size()),
       [&] {
         EXPECT_TRUE(received_ == much());
         EXPECT_EQ(changes(), (Names{"add write", "modify read"}));
         report();
       },
       [&] { EXPECT_EQ(log_, Names{"data input"}); }});
}

TEST_F(StreamTest, IsWatchedForRoomWhileOutputIsPending) {
  events_.data = [&](Conn&, const Bytes&, Output& out) {
    out = much();
    return Action::None;
  };
  run({[&] { say_and_report("request"); },
       [&] {
         EXPECT_EQ(changes(), (Names{"add read", "modify write"}));
       },
       hear(much().size()),
       [&] {
         EXPECT_TRUE(received_ == much());
         EXPECT_EQ(changes(), (Names{"add read", "modify write", "modify read"}));
       }});
}

TEST_F(StreamTest, IsRegisteredOnceForAHundredEchoes) {
  events_.data = [](Conn&, const Bytes& in, Output& out) {
    out = in;
    return Action::None;
  };
  std::deque<Turn> turns;
  for (int i = 0; i != 100; ++i) {
    turns.emplace_back([this, i] {
      if (i != 0) {
        EXPECT_EQ(heard(), std::to_string(i - 1));
      }
      say_and_report(std::to_string(i));
    });
  }
  turns.emplace_back([&] {
    EXPECT_EQ(heard(), "99");
    EXPECT_EQ(changes(), Names{"add read"});
  });
  run(std::move(turns));
}

TEST_F(StreamTest, AnswersOfSeveralPiecesLeaveInOrder) {
  const std::string large(20'000, 'l');
  events_.data = [&](Conn&, const Bytes&, Output& out) {
    out.append("before ").append(std::string(large)).append(" after");
    return Action::None;
  };
  run({[&] { say_and_report("x"); }, [&] { EXPECT_EQ(heard(), "before " + large + " after"); }});
}

TEST_F(StreamTest, WhatFollowsPendingOutputLeavesAfterIt) {
  events_.data = [&](Conn&, const Bytes& in, Output& out) {
    out = in.empty() ? std::string("woken") : much();
    return Action::None;
  };
  run({[&] { say_and_report("x"); }, [&] { from_elsewhere([&] { EXPECT_TRUE(conn_.wake()); }); },
       [&] { from_elsewhere([&] { EXPECT_TRUE(conn_.send(" sent")); }); }, hear(much().size() + 10),
       [&] { EXPECT_TRUE(received_ == much() + "woken sent"); }});
}

TEST_F(StreamTest, AWakeDoesNotWaitForPendingOutput) {
  events_.opened = [&](Conn&, Output& out, Options&) {
    out = much();
    return Action::None;
  };
  run({[&] {
         from_elsewhere([&] {
           for (int i = 0; i != 3; ++i) EXPECT_TRUE(conn_.wake());
         });
       },
       [&] {
         EXPECT_EQ(log_, Names{"data "}) << "one call for all of them";
         EXPECT_EQ(changes(), Names{"add write"});
       }});
}

TEST_F(StreamTest, SendsOfOtherThreadsAreOneNoteAndLeaveAroundAWakesAnswer) {
  events_.data = [](Conn&, const Bytes&, Output& out) {
    out = "wake";
    return Action::None;
  };
  run({[&] {
         const int before = poller_.wakes();
         from_elsewhere([&] {
           EXPECT_TRUE(conn_.send("one two "));
           EXPECT_TRUE(conn_.wake());
           EXPECT_TRUE(conn_.send(" three"));
         });
         EXPECT_EQ(poller_.wakes(), before + 1);
       },
       [&] {
         EXPECT_EQ(heard(), "one two wake three");
         EXPECT_EQ(poller_.last_timeout(), std::chrono::nanoseconds(-1)) << "there was one note";
         EXPECT_EQ(changes(), Names{"add read"});
       }});
}

TEST_F(StreamTest, ACallbacksOwnSendLeavesBeforeItsOutputAndWakesNobody) {
  events_.data = [](Conn& conn, const Bytes&, Output& out) {
    out = "output";
    EXPECT_TRUE(conn.send("sent "));
    return Action::None;
  };
  run({[&] { say_and_report("x"); },
       [&] {
         EXPECT_EQ(heard(), "sent output");
         EXPECT_EQ(changes(), Names{"add read"});
         EXPECT_EQ(poller_.wakes(), 0);
       }});
}

// Readiness may be stale: something earlier in the turn may have read everything.
TEST_F(StreamTest, WhatIsTakenBeforeAReadThatFindsNothingLeavesWithItsNote) {
  other_.act = [&] { from_elsewhere([&] { EXPECT_TRUE(conn_.send("x")); }); };
  run({[&] {
         poller_.report(other_);
         report();
       },
       [] {}, [&] { EXPECT_EQ(heard(), "x"); }});
}

TEST_F(StreamTest, WhatACallbackSendsToSeveralLeavesInTheOrderOfTheirSends) {
  const std::string large(20'000, 'l');
  const std::string middle(2'000, 'm');
  events_.data = [&](Conn& conn, const Bytes&, Output& out) {
    out = "output";
    conn.send("a,");
    conn.send(Bytes(middle));
    conn.send(std::string_view("b,"));
    conn.send(large);
    from_elsewhere([&] { EXPECT_TRUE(conn.send("elsewhere,")); });
    conn.send("c,");
    return Action::None;
  };
  run({[&] { say_and_report("x"); }, [&] { EXPECT_EQ(heard(), "a," + middle + "b," + large + "elsewhere,c,output"); }});
}

// Its place behind the one conflicts with its place before the other: what the loop's own callback sends has to leave
// before the output of that callback.
TEST_F(StreamTest, ACallbacksOwnSendPullsWhatWasSentBehindAWakeForward) {
  other_.act = [&] {
    from_elsewhere([&] {
      EXPECT_TRUE(conn_.wake());
      EXPECT_TRUE(conn_.send("behind the wake,"));
    });
  };
  events_.data = [&](Conn& conn, const Bytes& in, Output& out) {
    out = in.empty() ? "woken," : "output,";
    if (in.empty()) return Action::None;
    from_elsewhere([&] {
      EXPECT_TRUE(conn.wake());
      EXPECT_TRUE(conn.send("behind another,"));
    });
    EXPECT_TRUE(conn.send("own,"));
    return Action::None;
  };
  const Turn both = [&] {
    poller_.report(other_);
    say_and_report("x");
  };
  const Turn check = [&] { EXPECT_EQ(heard(), "behind the wake,behind another,own,output,woken,woken,"); };
  run({both, [] {}, [] {}, check, both, [] {}, [] {}, check});
}

TEST_F(StreamTest, WhatIsSentToAWokenConnectionByAnothersCallbackLeavesBeforeItsNextOutput) {
  other_.act = [&] {
    from_elsewhere([&] {
      EXPECT_TRUE(conn_.wake());
      EXPECT_TRUE(conn_.send("behind the wake,"));
    });
    EXPECT_TRUE(conn_.send(std::string(2'000, 's')));
  };
  events_.data = [](Conn&, const Bytes& in, Output& out) {
    out = in.empty() ? "woken," : "output,";
    return Action::None;
  };
  run({[&] {
         poller_.report(other_);
         say_and_report("x");
       },
       [] {}, [&] { EXPECT_EQ(heard(), "behind the wake," + std::string(2'000, 's') + "output,woken,"); }});
}

TEST_F(StreamTest, WhatIsLeftBehindAWakeLeavesBeforeTheCallOfTheNextWake) {
  other_.act = [&] {
    from_elsewhere([&] {
      EXPECT_TRUE(conn_.wake());
      EXPECT_TRUE(conn_.send("first,"));
    });
  };
  int woken = 0;
  events_.data = [&](Conn& conn, const Bytes& in, Output& out) {
    if (!in.empty()) {
      out = "output,";
    } else if (++woken == 1) {
      out = "woken,";
      from_elsewhere([&] {
        EXPECT_TRUE(conn.send("second,"));
        EXPECT_TRUE(conn.wake());
        EXPECT_TRUE(conn.send("third,"));
      });
    } else {
      out = "woken again,";
    }
    return Action::None;
  };
  run({[&] {
         poller_.report(other_);  // its note is still to come when the loop reads, and takes what it is about
         say_and_report("x");
       },
       [] {}, [] {}, [] {}, [&] { EXPECT_EQ(heard(), "output,woken,first,second,woken again,third,"); }});
}

TEST_F(StreamTest, MovesAThousandRequestsATurnHoweverManyNotesCome) {
  constexpr std::size_t kAtOnce = 1024;
  constexpr int kMany = 10 * kAtOnce;
  const std::string text(Request::kMostWithRoom + 1, 'x');  // each is a request
  std::size_t sent = 0;
  const auto send = [&](int times) {
    from_elsewhere([&] {
      for (int i = 0; i != times; ++i, ++sent) ASSERT_TRUE(conn_.send(text));
    });
  };
  std::size_t all = 0;
  Turn one_more = [&] {
    const std::size_t now = heard().size() / text.size();
    EXPECT_LE(now, kAtOnce);
    all += now;
    if (all == sent) return;
    if (all < 5 * kAtOnce) send(1);
    poller_.turns.push_front(one_more);
  };
  run({[&] { send(kMany); }, one_more});
  EXPECT_EQ(all, sent);
}

// As without the function: all of what was sent before the input goes before the answer to it.
TEST_F(StreamTest, WhatIsSentBeforeAFunctionLeavesBeforeTheAnswerHoweverMuchItIs) {
  constexpr std::size_t kMany = 2 * 1024;
  events_.data = [](Conn&, const Bytes&, Output& out) {
    out = "answer,";
    return Action::None;
  };
  other_.act = [&] {
    from_elsewhere([&] {
      for (std::size_t i = 0; i != kMany; ++i) ASSERT_TRUE(conn_.send("x"));
      EXPECT_TRUE(conn_.post([](Conn&, Output& out) {
        out = "function,";
        return Action::None;
      }));
    });
  };
  run({[&] {
         poller_.report(other_);
         say_and_report("request");
       },
       [] {}, [] {}, [] {}, [&] { EXPECT_TRUE(heard() == std::string(kMany, 'x') + "function,answer,"); }});
}

TEST_F(StreamTest, WhatIsSentFromOutsideItsCallbacksLeavesInOneWrite) {
  other_.act = [&] {
    EXPECT_TRUE(conn_.send("one,"));
    EXPECT_TRUE(conn_.send(""));
    EXPECT_TRUE(conn_.send("two,"));
    from_elsewhere([&] { EXPECT_TRUE(conn_.send("three,")); });
  };
  run({[&] { poller_.report(other_); },
       [&] {
         EXPECT_EQ(heard(), "") << "its turn is not over";
         EXPECT_EQ(poller_.last_timeout(), std::chrono::nanoseconds(0));
       },
       [&] { EXPECT_EQ(heard(), "one,two,three,"); }});
}

TEST_F(StreamTest, IsFoundByASweepIfItsNoteWasLost) {
  run({[&] {
         from_elsewhere([&] { EXPECT_TRUE(conn_.send("sent")); });
         std::array<Note, 1> lost;
         ASSERT_EQ(loop_.queue()->pop_bulk(lost), 1u);
         loop_.queue()->post(Signal::kSweep);
       },
       [&] {
         EXPECT_EQ(heard(), "sent");
         loop_.queue()->post(Signal::kSweep);
       },
       [&] {
         EXPECT_EQ(heard(), "");
         EXPECT_EQ(log_, Names{});
       }});
}

TEST_F(StreamTest, ACallbackMayDoWhatItLikesWithItsConn) {
  Conn kept;
  std::vector<Conn> seen;
  events_.data = [&](Conn& conn, const Bytes& in, Output&) {
    seen.push_back(conn);
    if (in == "assign") conn = Conn();
    if (in == "move") kept = std::move(conn);
    if (in == "swap") std::swap(conn, kept);
    return Action::None;
  };
  events_.closed = [&](Conn& conn, const Error&) {
    seen.push_back(conn);
    conn = Conn();
    return Action::None;
  };
  std::deque<Turn> turns;
  for (const char* text : {"assign", "move", "swap", "nothing"}) {
    turns.emplace_back([this, text] { say_and_report(text); });
  }
  run(std::move(turns));
  EXPECT_EQ(seen, std::vector<Conn>(5, conn_));
  EXPECT_EQ(kept, conn_);
}

TEST_F(StreamTest, AnnouncesEachBatchOfOutput) {
  events_.pre_write = [&] {
    log_.emplace_back("pre_write");
    EXPECT_EQ(heard(), "");
  };
  events_.data = [&](Conn&, const Bytes& in, Output& out) {
    log_.emplace_back("data");
    if (in == "answer") out = "answer";
    return Action::None;
  };
  run({[&] { say_and_report("answer"); },
       [&] {
         EXPECT_EQ(heard(), "answer");
         say_and_report("be silent");
       },
       [&] {
         EXPECT_EQ(log_, (Names{"data", "pre_write", "data"}));
       }});
}

TEST_F(StreamTest, WritesNothingThatCouldNotBeAnnounced) {
  events_.pre_write = [] { throw std::runtime_error("no disk"); };
  events_.data = [](Conn&, const Bytes&, Output& out) {
    out = "answer";
    return Action::None;
  };
  run({[&] { say_and_report("x"); }});
  EXPECT_EQ(heard(), "");
  EXPECT_EQ(server_.failures, Names{"no disk"});
}

TEST_F(StreamTest, OpenedThatThrowsClosesItAndSendsNothing) {
  events_.opened = [&](Conn&, Output& out, Options&) -> Action {
    out = "dropped";
    throw std::runtime_error("not you");
  };
  run({[&] {
    EXPECT_EQ(heard(), "");
    EXPECT_TRUE(far_ended());
    EXPECT_EQ(log_, Names{"closed: not you"});
  }});
  EXPECT_EQ(server_.failures, Names{});
}

TEST_F(StreamTest, DataThatThrowsClosesItWhenWhatWasSentBeforeHasLeft) {
  events_.opened = [&](Conn&, Output& out, Options&) {
    out = much();
    return Action::None;
  };
  events_.data = [&](Conn& conn, const Bytes&, Output& out) -> Action {
    EXPECT_TRUE(conn.send("sent"));
    out = "dropped";
    throw std::runtime_error("enough");
  };
  run({[&] { from_elsewhere([&] { EXPECT_TRUE(conn_.wake()); }); },
       [&] {
         EXPECT_EQ(log_, Names{}) << "its output is pending";
         EXPECT_FALSE(conn_.send("more"));
       },
       hear(much().size() + 4),
       [&] {
         EXPECT_TRUE(received_ == much() + "sent");
         EXPECT_TRUE(far_ended());
         EXPECT_EQ(log_, Names{"closed: enough"});
       }});
}

TEST_F(StreamTest, WhatHadComeBeforeAFailedRegistrationIsDelivered) {
  make_pair();
  say("last words");
  poller_.refuse_next(std::errc::no_space_on_device);
  run({[&] {
    EXPECT_EQ(changes(), Names{"add read"});
    EXPECT_FALSE(near_is_open());
  }});
  ASSERT_EQ(before_shutdown().size(), 2u);
  EXPECT_EQ(log_[0], "data last words");
  EXPECT_EQ(log_[1].rfind("closed: watch ", 0), 0u) << log_[1];
}

TEST_F(StreamTest, WhatHadComeBeforeAFailedWriteIsDeliveredAndNotAnswered) {
  make_pair();
  say("last words");
  far_.reset();
  events_.opened = [](Conn&, Output& out, Options&) {
    out = "welcome";
    return Action::None;
  };
  run({[&] { EXPECT_EQ(changes(), Names{}); }});
  ASSERT_EQ(before_shutdown().size(), 2u);
  EXPECT_EQ(log_[0], "data last words");
  EXPECT_EQ(log_[1].rfind("closed: write ", 0), 0u) << log_[1];
}

/// A connection that has moved much in the turn before, is ready again, and comes after the others: what happens to it
/// until it is its turn. Thread-safety: one thread.
class PutOffStreamTest : public StreamTest {
 protected:
  PutOffStreamTest() {
    events_.data = [this](Conn&, const Bytes& in, Output& out) {
      log_.push_back("data of " + std::to_string(in.size()));
      if (in.size() < 10) out = in;
      return action_;
    };
  }
  void run_beside(std::function<void()> other) {
    other_.act = [this, other = std::move(other)] {
      log_.emplace_back("other");
      other();
    };
    run({[this] { say_and_report(std::string(40'000, 'x')); },
         [this] {
           say_and_report("again");
           poller_.report(other_);
         },
         [] {}});
  }

  Action action_ = Action::None;
};

TEST_F(PutOffStreamTest, IsReadAfterTheOthersAndOnce) {
  run_beside([] {});
  EXPECT_EQ(before_shutdown(), (Names{"data of 40000", "other", "data of 5"}));
  EXPECT_EQ(heard(), "again");
}

TEST_F(PutOffStreamTest, IsNotReadAnyMoreOnceItIsClosed) {
  run_beside([this] { EXPECT_TRUE(conn_.close()); });
  EXPECT_EQ(before_shutdown(), (Names{"data of 40000", "other", "closed"}));
}

TEST_F(PutOffStreamTest, IsNotReadAnyMoreOnceItIsAborted) {
  run_beside([this] { EXPECT_TRUE(conn_.abort()); });
  EXPECT_EQ(before_shutdown(), (Names{"data of 40000", "other", "closed: aborted"}));
}

TEST_F(PutOffStreamTest, IsNotReadWhileItIsPaused) {
  run_beside([this] { EXPECT_TRUE(conn_.pause()); });
  EXPECT_EQ(before_shutdown(), (Names{"data of 40000", "other"}));
}

TEST_F(PutOffStreamTest, IsNotReadOnceTheServerShutsDown) {
  run_beside([this] { server_.shut_down(); });
  EXPECT_EQ(before_shutdown(), (Names{"data of 40000", "other"}));
}

TEST_F(PutOffStreamTest, SendsWhatItIsGivenMeanwhileFirst) {
  run_beside([this] { EXPECT_TRUE(conn_.send("first ")); });
  EXPECT_EQ(heard(), "first again");
}

TEST_F(PutOffStreamTest, IsDetachedInItsTurn) {
  events_.detached = [this](Conn&, DetachedConn) {
    log_.emplace_back("detached");
    return Action::None;
  };
  run_beside([this] { action_ = Action::Detach; });
  EXPECT_EQ(before_shutdown(), (Names{"data of 40000", "other", "data of 5", "detached"}));
  EXPECT_TRUE(is_freed());
}

TEST_F(PutOffStreamTest, IsTakenAsItComesOnceItHasMovedLittle) {
  run({[this] { say_and_report(std::string(40'000, 'x')); }, [this] { say_and_report("again"); },
       [this] {
         other_.act = [this] { log_.emplace_back("other"); };
         say_and_report("once");
         poller_.report(other_);
       }});
  EXPECT_EQ(before_shutdown(), (Names{"data of 40000", "data of 5", "data of 4", "other"}));
}

}  // namespace
}  // namespace evio::internal
