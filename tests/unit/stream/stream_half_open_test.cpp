// How each side of a stream ends alone: what takes exact turns. Through real loops: guarantees/half_open_test.
#include <gtest/gtest.h>

#include <utility>

#include "internal/stream/stream.hpp"
#include "tests/unit/stream/flow_fixture.hpp"

namespace evio::internal {
namespace {

using Interest = test::FakePoller::Interest;
class StreamHalfOpenTest : public StreamFlowTest {};

TEST_F(StreamHalfOpenTest, EndedComesOnceBehindAllInputAndOutputGoesOn) {
  options_.half_open = true;
  events_.ended = [&](Conn&, Output& out) {
    log_.emplace_back("ended");
    out = "answer";
    return Action::None;
  };
  run({[&] {
         say("x");
         end_far();
         report();
       },
       [&] { report(); },
       [&] {
         EXPECT_EQ(log_, (Names{"data x", "ended"}));
         EXPECT_EQ(poller_.interest(fd_), Interest::kFailure) << "the end would be reported by every wait";
         EXPECT_EQ(heard(), "answer");
         from_elsewhere([&] { EXPECT_TRUE(conn_.send("sent")); });
       },
       [&] {
         EXPECT_EQ(heard(), "sent");
         from_elsewhere([&] { EXPECT_TRUE(conn_.wake()); });
       },
       [&] {
         EXPECT_EQ(log_, (Names{"data x", "ended", "data "}));
         from_elsewhere([&] { EXPECT_TRUE(conn_.close_write()); });
       },
       [&] {
         EXPECT_TRUE(far_ended());
         EXPECT_EQ(log_, (Names{"data x", "ended", "data ", "closed"}));
       }});
}

TEST_F(StreamHalfOpenTest, AUnixPeerThatIsGoneAltogetherClosesItBehindEnded) {
  options_.half_open = true;
  run({[&] {
         say("x");
         far_.reset();
         report();
       },
       [&] { report(); }, [&] { report(); }, [&] { EXPECT_FALSE(near_is_open()); }});
  ASSERT_EQ(before_shutdown().size(), 3u);
  EXPECT_EQ(log_[0], "data x");
  EXPECT_EQ(log_[1], "ended");
  EXPECT_EQ(log_[2].rfind("closed: write ", 0), 0u) << log_[2];
}

// Reported before the peer's end was read, and looked at afterwards: that is no failure.
TEST_F(StreamHalfOpenTest, AReadinessOfBeforeTheEndIsNotTakenForAFailure) {
  options_.half_open = true;
  options_.read_while_pending = true;
  run({[&] {
         end_far();
         report();
       },
       [&] { report(); },
       [&] {
         EXPECT_TRUE(near_is_open());
         EXPECT_EQ(poller_.interest(fd_), Interest::kFailure);
       }});
  EXPECT_EQ(before_shutdown(), Names{"ended"});
}

TEST_F(StreamHalfOpenTest, CloseWriteEndsThisSideBehindItsOutput) {
  welcome_ = much();
  options_.read_while_pending = true;
  events_.congested = nullptr;
  events_.drained = nullptr;
  run({[&] {
         from_elsewhere([&] {
           EXPECT_TRUE(conn_.send("sent"));
           EXPECT_TRUE(conn_.close_write());
           EXPECT_FALSE(conn_.close_write());
           EXPECT_FALSE(conn_.send("refused"));
           EXPECT_FALSE(conn_.send(""));
         });
       },
       [&] { say_and_report("x"); }, [&] { EXPECT_EQ(log_, Names{"data x"}); }, hear(much().size() + 4),
       [&] {
         EXPECT_TRUE(received_ == much() + "sent");
         EXPECT_TRUE(far_ended());
         say_and_report("y");
       },
       [&] {
         EXPECT_EQ(log_, (Names{"data x", "data y"}));
         end_far();
         report();
       },
       [&] {
         EXPECT_EQ(log_, (Names{"data x", "data y", "closed"}));
       }});
}

TEST_F(StreamHalfOpenTest, CloseWriteTakesTheOutputOfTheCallbackUnderWayAndNoneLater) {
  events_.data = [&](Conn& conn, const Bytes& in, Output& out) {
    log_.push_back("data " + in.str());
    out = "answer to " + in.str();
    if (in == "x") {
      EXPECT_TRUE(conn.close_write());
      EXPECT_FALSE(conn.close_write());
      EXPECT_FALSE(conn.send("refused"));
    }
    return Action::None;
  };
  run({[&] { say_and_report("x"); }, [&] { say_and_report("y"); },
       [&] {
         EXPECT_EQ(heard(), "answer to x");
         EXPECT_TRUE(far_ended());
         EXPECT_EQ(conn_.pending(), 0u);
         EXPECT_EQ(log_, (Names{"data x", "data y"}));
       }});
}

TEST_F(StreamHalfOpenTest, CloseWriteOfAnotherThreadHoldsForTheNextCallback) {
  events_.data = [&](Conn&, const Bytes&, Output& out) {
    out = "answer";
    return Action::None;
  };
  other_.act = [&] { from_elsewhere([&] { EXPECT_TRUE(conn_.close_write()); }); };
  run({[&] {
         poller_.report(other_);
         say_and_report("x");
       },
       [] {},
       [&] {
         EXPECT_EQ(heard(), "");
         EXPECT_TRUE(far_ended());
       }});
}

TEST_F(StreamHalfOpenTest, CloseWriteHoldsForTheNextCallbackBehindPendingOutput) {
  options_.read_while_pending = true;
  welcome_ = much();
  events_.data = [&](Conn&, const Bytes&, Output& out) {
    log_.emplace_back("data");
    out = "answer";
    return Action::None;
  };
  events_.congested = nullptr;
  events_.drained = [&](Conn&, Output& out) {
    log_.emplace_back("drained");
    out = "output";
    return Action::None;
  };
  other_.act = [&] { from_elsewhere([&] { EXPECT_TRUE(conn_.close_write()); }); };
  run({[&] {
         poller_.report(other_);
         say_and_report("x");
       },
       [] {}, hear(much().size()), [] {},
       [&] {
         received_ += heard();
         EXPECT_EQ(received_.size(), much().size()) << received_.substr(much().size());
         EXPECT_TRUE(far_ended());
         EXPECT_EQ(log_, (Names{"data", "drained"}));
       }});
}

TEST_F(StreamHalfOpenTest, BothEndsCloseItWithoutAnErrorOnceAllOutputIsGone) {
  options_.half_open = true;
  options_.read_while_pending = true;
  welcome_ = much();
  events_.congested = nullptr;
  events_.drained = nullptr;
  run({[&] {
         end_far();
         report();
       },
       [&] {
         EXPECT_EQ(log_, Names{"ended"});
         EXPECT_EQ(poller_.interest(fd_), Interest::kWrite);
         EXPECT_TRUE(conn_.close_write());
       },
       [&] { EXPECT_EQ(log_, Names{"ended"}); }, hear(much().size()),
       [&] {
         EXPECT_EQ(log_, (Names{"ended", "closed"}));
         EXPECT_TRUE(far_ended());
       }});
}

TEST_F(StreamHalfOpenTest, ADetachedSocketHasTheEndThatWasAskedFor) {
  DetachedConn kept;
  events_.data = [&](Conn& conn, const Bytes&, Output& out) {
    EXPECT_TRUE(conn.close_write());
    out = "answer";
    return Action::Detach;
  };
  events_.detached = [&](Conn& conn, DetachedConn rwc) {
    log_.emplace_back("detached");
    EXPECT_EQ(conn.native_handle(), -1);
    kept = std::move(rwc);
    return Action::None;
  };
  run({[&] { say_and_report("x"); }, [] {}, [] {},
       [&] {
         EXPECT_EQ(log_, Names{"detached"});
         EXPECT_EQ(heard(), "answer");
         EXPECT_TRUE(far_ended());
       }});
}

TEST_F(StreamHalfOpenTest, ACloseBehindCloseWriteStillClosesIt) {
  events_.data = [&](Conn& conn, const Bytes&, Output& out) {
    EXPECT_TRUE(conn.close_write());
    out = "answer";
    return Action::Close;
  };
  run({[&] { say_and_report("x"); }, [] {}, [] {},
       [&] {
         EXPECT_EQ(log_, Names{"closed"});
         EXPECT_EQ(heard(), "answer");
         EXPECT_TRUE(far_ended());
       }});
}

TEST_F(StreamHalfOpenTest, CloseWriteOfPausedConnectionsIsNotHeldUp) {
  run({[&] {
         EXPECT_TRUE(conn_.pause());
         EXPECT_TRUE(conn_.close_write());
         say_and_report("x");
       },
       [] {},
       [&] {
         EXPECT_TRUE(far_ended());
         EXPECT_EQ(log_, Names{});
         EXPECT_EQ(poller_.interest(fd_), Interest::kFailure);
         end_far();
         report();  // shut both ways, which poll(2) reports whatever is asked for
       },
       [&] {
         EXPECT_FALSE(poller_.watches(fd_));
         EXPECT_TRUE(conn_.resume());
       },
       [&] { report(); }, [&] { report(); }});
  EXPECT_EQ(before_shutdown(), (Names{"data x", "closed"}));
}

}  // namespace
}  // namespace evio::internal
