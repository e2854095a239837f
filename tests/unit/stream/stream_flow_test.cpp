// Who is told that output waits, and when: what takes exact turns. Through real loops: guarantees/flow_test.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstddef>
#include <deque>
#include <stdexcept>
#include <string>
#include <utility>

#include "internal/stream/stream.hpp"
#include "tests/unit/stream/flow_fixture.hpp"

namespace evio::internal {
namespace {

using Interest = test::FakePoller::Interest;

TEST_F(StreamFlowTest, WhatTheSocketTakesAtOnceCongestsNobody) {
  options_.high_water = 10;
  events_.data = [&](Conn&, const Bytes& in, Output& out) {
    out = std::string(10'000, in.view().front());
    return Action::None;
  };
  run({[&] { say_and_report("a"); },
       [&] { from_elsewhere([&] { EXPECT_TRUE(conn_.send(std::string(20'000, 'b'))); }); },
       [&] {
         EXPECT_EQ(heard().size(), 30'000u);
         EXPECT_EQ(log_, Names{});
       }});
}

// The peer has read everything by now, which the loop was not told, when more is added to what waits.
TEST_F(StreamFlowTest, TriesToWriteBeforeItIsCongested) {
  options_.high_water = 50'000;
  options_.low_water = 1'000;
  make_pair();
  const ssize_t taken = ::send(fd_, much().data(), much().size(), MSG_DONTWAIT);
  ASSERT_GT(taken, 60'000);
  heard();
  const std::size_t size = static_cast<std::size_t>(taken) + 1'000;  // a little more than the socket takes
  welcome_.assign(size, 'w');
  run({[&] {
         ASSERT_GT(conn_.pending(), 0u);
         ASSERT_LE(conn_.pending(), 50'000u);
         received_ += heard();  // there is room, which the loop was not told
         from_elsewhere([&] { EXPECT_TRUE(conn_.send(std::string(60'000, 's'))); });
       },
       [&] {
         EXPECT_EQ(log_, Names{}) << "the kernel could have taken all of it";
         EXPECT_EQ(conn_.pending(), 0u);
         EXPECT_EQ(poller_.interest(fd_), Interest::kRead);
         received_ += heard();
         EXPECT_EQ(received_.size(), size + 60'000);
       }});
}

TEST_F(StreamFlowTest, CongestedAboveHighWaterAndDrainedAtLowWater) {
  options_.high_water = 300'000;
  options_.low_water = 100'000;
  const std::size_t sent = much().size();
  welcome_ = much();
  std::size_t drained_at = 0;
  std::size_t congested_at = 0;
  events_.congested = [&](Conn& conn) {
    congested_at = conn.pending();
    EXPECT_EQ(congested_at, left_of(sent)) << "after the loop has tried to write";
    log_.emplace_back("congested");
    return Action::None;
  };
  events_.drained = [&](Conn& conn, Output& out) {
    drained_at = conn.pending();
    EXPECT_EQ(drained_at, left_of(sent));
    log_.emplace_back("drained");
    out = "more";
    return Action::None;
  };
  run({[&] {
         EXPECT_EQ(log_, Names{"congested"});
         EXPECT_GT(congested_at, 300'000u);
       },
       hear(much().size() + 4),
       [&] {
         EXPECT_EQ(log_, (Names{"congested", "drained"}));
         EXPECT_LE(drained_at, 100'000u);
         EXPECT_TRUE(received_ == much() + "more");
       }});
}

// Each step looks whether the callback came that has to have come, and not before.
TEST_F(StreamFlowTest, AlternatesAtExactlyTheMarks) {
  options_.high_water = 200'000;
  options_.low_water = 50'000;
  options_.read_while_pending = true;
  welcome_ = much();
  bool congested = false;
  int turns_of_the_tide = 0;
  events_.congested = [&](Conn& conn) {
    EXPECT_FALSE(std::exchange(congested, true));
    EXPECT_GT(conn.pending(), 200'000u);
    ++turns_of_the_tide;
    return Action::None;
  };
  events_.drained = [&](Conn& conn, Output&) {
    EXPECT_TRUE(std::exchange(congested, false));
    EXPECT_LE(conn.pending(), 50'000u);
    ++turns_of_the_tide;
    return Action::None;
  };
  const auto check = [&] {
    if (congested) {
      EXPECT_GT(conn_.pending(), 50'000u);
    } else {
      EXPECT_LE(conn_.pending(), 200'000u);
    }
  };
  std::deque<Turn> turns;
  for (int i = 0; i != 400; ++i) {
    turns.emplace_back([&, i] {
      check();
      if (i % 100 == 50) {
        from_elsewhere([&] { EXPECT_TRUE(conn_.send(std::string(700'000, 's'))); });
      } else if (i % 7 == 0) {
        from_elsewhere([&] { EXPECT_TRUE(conn_.send(std::string(3'000, 's'))); });
      } else {
        hear_some(20'000);
        report();
      }
    });
  }
  run(std::move(turns));
  EXPECT_GE(turns_of_the_tide, 6);
}

TEST_F(StreamFlowTest, WithZeroAndZeroItTellsOfAnyOutputThatWaits) {
  welcome_ = much();
  run({[&] { EXPECT_EQ(log_, Names{"congested"}); }, hear(much().size() - 1),
       [&] {
         EXPECT_EQ(log_, (Names{"congested", "drained"}));
         EXPECT_EQ(conn_.pending(), 0u);
       }});
}

TEST_F(StreamFlowTest, ALowWaterAboveTheHighIsTheHigh) {
  options_.high_water = 300'000;
  options_.low_water = 2'000'000;
  welcome_ = much();
  std::size_t drained_at = 0;
  events_.drained = [&](Conn& conn, Output&) {
    drained_at = conn.pending();
    log_.emplace_back("drained");
    return Action::None;
  };
  run({[&] { EXPECT_EQ(log_, Names{"congested"}) << "or the two would follow each other for ever"; },
       hear(much().size() - 1),
       [&] {
         EXPECT_EQ(log_, (Names{"congested", "drained"}));
         EXPECT_LE(drained_at, 300'000u);
         EXPECT_GT(drained_at, 0u) << "at the high mark, not at the end";
       }});
}

TEST_F(StreamFlowTest, DrainedComesThoughNobodyWantsToHearOfCongested) {
  events_.congested = nullptr;
  welcome_ = much();
  run({[&] { EXPECT_EQ(log_, Names{}); }, hear(much().size() - 1), [&] { EXPECT_EQ(log_, Names{"drained"}); }});
}

TEST_F(StreamFlowTest, NeitherComesOnceCloseWasAskedFor) {
  options_.high_water = 1'000;
  events_.data = [&](Conn&, const Bytes&, Output& out) {
    out = much();
    return Action::Close;
  };
  run({[&] { say_and_report("x"); }, [&] { EXPECT_EQ(log_, Names{}); }, hear(much().size()),
       [&] { EXPECT_EQ(log_, Names{"closed"}); }});
}

TEST_F(StreamFlowTest, DrainedDoesNotComeOnceCloseWasAskedFor) {
  options_.high_water = 1'000;
  welcome_ = much();
  run({[&] {
         EXPECT_EQ(log_, Names{"congested"});
         from_elsewhere([&] { EXPECT_TRUE(conn_.close()); });
       },
       hear(much().size()),
       [&] {
         EXPECT_EQ(log_, (Names{"congested", "closed"}));
       }});
}

TEST_F(StreamFlowTest, WhatCongestedDoesHasItsEffect) {
  welcome_ = much();
  events_.congested = [&](Conn& conn) {
    log_.emplace_back("congested");
    EXPECT_TRUE(conn.send("sent"));
    return Action::Close;
  };
  run({[&] {
         EXPECT_EQ(log_, Names{"congested"});
         EXPECT_FALSE(conn_.send("more"));
       },
       hear(much().size() + 4),
       [&] {
         EXPECT_TRUE(received_ == much() + "sent");
         EXPECT_EQ(log_, (Names{"congested", "closed"}));
       }});
}

TEST_F(StreamFlowTest, ThatCongestedOrDrainedThrowsClosesIt) {
  welcome_ = much();
  events_.drained = [&](Conn& conn, Output& out) -> Action {
    EXPECT_TRUE(conn.send("sent"));
    out = "dropped";
    throw std::runtime_error("no more");
  };
  run({hear(much().size() + 4), [&] {
         EXPECT_TRUE(received_ == much() + "sent");
         EXPECT_EQ(log_, (Names{"congested", "closed: no more"}));
       }});
}

// What another thread was told is sent leaves before the output of a callback that comes later.
TEST_F(StreamFlowTest, WhatIsSentBeforeDrainedLeavesBeforeItsOutput) {
  welcome_ = much();
  events_.drained = [&](Conn&, Output& out) {
    log_.emplace_back("drained");
    if (log_.size() == 2) out = "output";
    return Action::None;
  };
  other_.act = [&] { from_elsewhere([&] { EXPECT_TRUE(conn_.send("sent ")); }); };
  Turn empty = [&] {
    received_ += heard();
    if (conn_.pending() > 200'000) {
      report();
      poller_.turns.push_front(empty);
    } else {
      poller_.report(other_);
      report();  // the write that follows takes the rest
    }
  };
  run({empty, [] {}, [] {},
       [&] {
         received_ += heard();
         EXPECT_EQ(received_.substr(much().size()), "sent output");
       }});
}

}  // namespace
}  // namespace evio::internal
