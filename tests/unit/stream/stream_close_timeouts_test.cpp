// Every close ends: exactly when, and never earlier. Guarantee 20.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "tests/unit/stream/stream_timeouts_fixture.hpp"

namespace evio::internal {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

class StreamCloseTimeoutTest : public StreamTimeoutsTest {
 protected:
  StreamCloseTimeoutTest() {
    events_.close_timeout = 10s;
    first_output_ = much();
  }
  // From 5 s on it closes. Its peer takes nothing.
  void expect_aborted_at(nanoseconds earliest, const Turn& close, const Turn& expected) {
    run({sleep_until(5s), close, sleep_until(earliest - 1ns), expect_nothing(), sleep_until(earliest + 2500ms),
         expected, [&] { EXPECT_FALSE(near_is_open()); }});
  }
};

TEST_F(StreamCloseTimeoutTest, CloseOfAnotherThreadIsAbortedWithoutProgress) {
  expect_aborted_at(
      15s, [&] { from_elsewhere([&] { EXPECT_TRUE(conn_.close()); }); }, expect_closed("close timeout"));
}

TEST_F(StreamCloseTimeoutTest, CloseOfACallbackIsAbortedWithoutProgress) {
  options_.read_while_pending = true;
  events_.data = [](Conn&, const Bytes&, Output&) { return Action::Close; };
  expect_aborted_at(
      15s, [&] { say_and_report("x"); }, expect_closed("close timeout"));
}

TEST_F(StreamCloseTimeoutTest, DetachIsAbortedWithoutProgress) {
  options_.read_while_pending = true;
  events_.data = [](Conn&, const Bytes&, Output&) { return Action::Detach; };
  events_.detached = [&](Conn&, DetachedConn) {
    log_.emplace_back("detached");
    return Action::None;
  };
  expect_aborted_at(
      15s, [&] { say_and_report("x"); }, expect_closed("close timeout"));
}

TEST_F(StreamCloseTimeoutTest, AnExceptionIsAbortedWithItsMessage) {
  options_.read_while_pending = true;
  events_.data = [](Conn&, const Bytes&, Output&) -> Action { throw std::runtime_error("oh no"); };
  expect_aborted_at(
      15s, [&] { say_and_report("x"); }, [&] { EXPECT_EQ(log_, Names{"closed: oh no"}); });
}

TEST_F(StreamCloseTimeoutTest, ThePeersEndIsAbortedWithoutProgress) {
  options_.read_while_pending = true;
  expect_aborted_at(
      15s,
      [&] {
        ::shutdown(far_.get(), SHUT_WR);
        report();
      },
      expect_closed("close timeout"));
}

// The idle timeout has closed it; that its output is stuck only ends that.
TEST_F(StreamCloseTimeoutTest, AnIdleTimeoutBehindItIsCountedOnce) {
  options_.idle_timeout = 5s;
  run({sleep_until(20s), expect_closed("idle timeout"), [&] {
         EXPECT_EQ(loop_.figures().timed_out.value(), 1u);
         EXPECT_EQ(loop_.figures().aborted.value(), 1u);
       }});
}

TEST_F(StreamCloseTimeoutTest, AWriteTimeoutThatIsShorterCounts) {
  options_.write_timeout = 8s;
  expect_aborted_at(
      13s, [&] { EXPECT_TRUE(conn_.close()); }, expect_closed("close timeout"));
}

TEST_F(StreamCloseTimeoutTest, AWriteTimeoutThatIsLongerDoesNotCount) {
  options_.write_timeout = 1h;
  expect_aborted_at(
      15s, [&] { EXPECT_TRUE(conn_.close()); }, expect_closed("close timeout"));
}

TEST_F(StreamCloseTimeoutTest, ZeroIsNever) {
  events_.close_timeout = 0s;
  run({[&] { EXPECT_TRUE(conn_.close()); }, sleep_until(24h), expect_nothing(),
       [&] { EXPECT_LT(poller_.last_timeout(), 0ns); }});
}

TEST_F(StreamCloseTimeoutTest, WithoutACloseTimeoutTheWriteTimeoutStillCounts) {
  events_.close_timeout = 0s;
  options_.write_timeout = 10s;
  expect_aborted_at(
      15s, [&] { EXPECT_TRUE(conn_.close()); }, expect_closed("close timeout"));
}

TEST_F(StreamCloseTimeoutTest, GoesOnWhileThePeerTakesOutputHoweverSlowly) {
  std::deque<Turn> turns{[&] { EXPECT_TRUE(conn_.close()); }};
  for (int i = 1; i <= 4; ++i) {
    turns.push_back(sleep_until(i * 9s));
    turns.push_back([&] { read_a_little(); });
  }
  turns.push_back(sleep_until(46s - 1ns));
  turns.push_back(expect_nothing());
  turns.push_back(hear(much().size()));
  turns.push_back([&] { EXPECT_EQ(log_, Names{"closed"}); });
  run(std::move(turns));
  EXPECT_EQ(received_.size(), much().size());
}

TEST_F(StreamCloseTimeoutTest, GoesOnWhileATcpPeerAcknowledgesSome) {
  make_tcp_pair();
  first_output_ = std::string(8'000'000, 'x');
  std::deque<Turn> turns{[&] { EXPECT_TRUE(conn_.close()); }};
  for (int i = 1; i <= 10; ++i) {
    turns.push_back(sleep_until(i * 9s));
    turns.push_back([&] { read_a_little(); });
  }
  turns.push_back(expect_nothing());
  turns.push_back(sleep_until(200s));
  turns.push_back(expect_closed("close timeout"));
  turns.push_back([&] { EXPECT_TRUE(far_was_reset()); });
  run(std::move(turns));
}

// A peer that writes all before it reads.
TEST_F(StreamCloseTimeoutTest, InputIsDiscardedMeanwhile) {
  run({[&] { EXPECT_TRUE(conn_.close()); },
       [&] {
         EXPECT_EQ(poller_.interest(fd_), Interest::kReadWrite);
         say_and_report(std::string(100'000, 'y'));
       },
       [&] { say_and_report(std::string(100'000, 'y')); }, [&] { say_and_report(std::string(100'000, 'y')); },
       hear(much().size()), [&] { EXPECT_EQ(log_, Names{"closed"}); }});
  EXPECT_EQ(received_.size(), much().size());
}

// Which the socket's next owner will read.
TEST_F(StreamCloseTimeoutTest, NoInputIsDiscardedBehindDetach) {
  options_.read_while_pending = true;
  events_.data = [](Conn&, const Bytes&, Output&) { return Action::Detach; };
  events_.detached = [&](Conn&, DetachedConn socket) {
    Error err;
    std::array<char, 10> room;
    EXPECT_EQ(socket.read(room, err), 4u);
    log_.emplace_back("detached");
    return Action::None;
  };
  run({[&] { say_and_report("x"); }, [&] { say_and_report("kept"); }, hear(much().size()),
       [&] { EXPECT_EQ(log_, Names{"detached"}); }});
}

TEST_F(StreamCloseTimeoutTest, HoldsDuringAShutdown) {
  drains_ = true;
  expect_aborted_at(
      15s,
      [&] {
        EXPECT_TRUE(conn_.close());
        server_.shut_down();
        poller_.turns.push_front([&] { log_.clear(); });
      },
      expect_closed("close timeout"));
}

TEST_F(StreamCloseTimeoutTest, HoldsForWhatAShutdownCloses) {
  drains_ = true;
  expect_aborted_at(
      15s,
      [&] {
        server_.shut_down();
        poller_.turns.push_front([&] { log_.clear(); });
      },
      expect_closed("close timeout"));
}

TEST_F(StreamCloseTimeoutTest, AShutdownDiscardsTheInputOfWhoDoesNotRead) {
  drains_ = true;
  run({[&] {
         server_.shut_down();
         poller_.turns.push_front([&] { log_.clear(); });
       },
       [&] { say_and_report(std::string(100'000, 'y')); }, [&] { say_and_report(std::string(100'000, 'y')); },
       [&] { say_and_report(std::string(100'000, 'y')); }, hear(much().size())});
  EXPECT_EQ(received_.size() + heard().size(), much().size());
  EXPECT_EQ(log_, Names{"closed"});
}

// After `closed`

class StreamLingerTimeoutTest : public StreamTimeoutsTest {
 protected:
  StreamLingerTimeoutTest() {
    make_tcp_pair();
    events_.data = [](Conn&, const Bytes&, Output& out) {
      out = std::string(300'000, 'x');  // the kernel takes all of it
      return Action::Close;
    };
  }
  Turn expect_silent() {
    return [&] {
      EXPECT_EQ(log_, Names{"closed"}) << "without an error, and once";
      log_.clear();
    };
  }
};

TEST_F(StreamLingerTimeoutTest, WhoAcknowledgesNothingIsReset) {
  run({[&] { say_and_report("x"); }, expect_silent(), sleep_until(60s - 1ns), [&] { EXPECT_TRUE(near_is_open()); },
       sleep_until(125s),
       [&] {
         EXPECT_FALSE(near_is_open());
         EXPECT_EQ(log_, Names{});
         EXPECT_TRUE(far_was_reset());
       }});
}

TEST_F(StreamLingerTimeoutTest, HoldsForWhatAShutdownCloses) {
  drains_ = true;
  events_.data = [](Conn&, const Bytes&, Output& out) {
    out = std::string(300'000, 'x');
    return Action::None;
  };
  run({[&] { say_and_report("x"); }, [&] { server_.shut_down(); }, [&] { EXPECT_TRUE(near_is_open()); },
       sleep_until(60s - 1ns), [&] { EXPECT_TRUE(near_is_open()); }, sleep_until(125s),
       [&] { EXPECT_FALSE(near_is_open()); }});
  EXPECT_EQ(log_, (Names{"shutdown", "closed"}));
  EXPECT_TRUE(far_was_reset());
}

TEST_F(StreamLingerTimeoutTest, WhoAcknowledgesSomeIsNotReset) {
  std::deque<Turn> turns{[&] { say_and_report("x"); }, expect_silent()};
  for (int i = 1; i <= 5; ++i) {
    turns.push_back(sleep_until(i * 55s));
    turns.push_back([&] {
      EXPECT_TRUE(near_is_open());
      if (held() != 0) read_a_little();
    });
  }
  turns.push_back([&] {
    EXPECT_TRUE(near_is_open());
    while (held() != 0 && read_some()) {
    }
  });
  turns.push_back(sleep_until(280s));
  turns.push_back([&] {
    EXPECT_FALSE(near_is_open());
    EXPECT_FALSE(far_was_reset());
    EXPECT_TRUE(far_ended());
  });
  run(std::move(turns));
}

// 200 that end in one moment linger for the same second.
TEST_F(StreamTimeoutsTest, ManyThatHaveLingeredLetOthersHaveTheirTurn) {
  std::vector<int> near;
  std::vector<test::UniqueFd> far;
  const auto count_open = [&] {
    return std::ranges::count_if(near, [](int fd) { return ::fcntl(fd, F_GETFD) != -1; });
  };
  std::vector<std::ptrdiff_t> open;
  const Turn wait_a_turn = [&] {
    clock_.advance(std::max(poller_.last_timeout(), 0ns));
    open.push_back(count_open());
  };
  std::deque<Turn> turns{[&] {
                           for (int i = 0; i != 200; ++i) {
                             make_pair();
                             near.push_back(fd_);
                             far.push_back(std::move(far_));
                             adopt();
                             EXPECT_TRUE(conn_.close());
                           }
                         },
                         [&] { EXPECT_EQ(count_open(), 200); }};
  for (int i = 0; i != 6; ++i) turns.push_back(wait_a_turn);
  run(std::move(turns));
  EXPECT_EQ(open, (std::vector<std::ptrdiff_t>{200, 136, 72, 8, 0, 0}));
}

}  // namespace
}  // namespace evio::internal
