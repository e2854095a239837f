// How a connection ends: what leaves before, what is called, how long its socket lingers, and when all of it is gone.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

#include "tests/unit/stream/stream_fixture.hpp"

namespace evio::internal {
namespace {

using namespace std::chrono_literals;

class StreamCloseTest : public StreamTest {
 protected:
  // Answers everything so, and then closes.
  void close_with(std::string answer) {
    events_.data = [answer = std::move(answer)](Conn&, const Bytes&, Output& out) {
      out = answer;
      return Action::Close;
    };
  }
  // The far end reads only what makes room for the rest of the output.
  Turn take_all_into_the_kernel() {
    return [this] {
      if (!log_.empty()) return;
      read_some();
      report();
      poller_.turns.push_front(take_all_into_the_kernel());
    };
  }
  void read_some() {
    std::array<char, 10'000> room;
    const ssize_t n = ::recv(far_.get(), room.data(), room.size(), 0);
    ASSERT_GT(n, 0);
    received_.append(room.data(), static_cast<std::size_t>(n));
  }
  Turn wait_until_gone() {
    return [this] {
      if (!near_is_open()) return;
      wait_out()();
      poller_.turns.push_front(wait_until_gone());
    };
  }
  int unacknowledged() const {
    int bytes = 0;
    EXPECT_EQ(::ioctl(fd_, SIOCOUTQ, &bytes), 0);
    return bytes;
  }
  static constexpr std::size_t kSlowlyRead = 250'000;

  void expect_gone() {
    EXPECT_FALSE(near_is_open());
    EXPECT_FALSE(poller_.watches(fd_));
    EXPECT_TRUE(is_freed());
    EXPECT_EQ(server_.closed, 1);
  }
};

TEST_F(StreamCloseTest, EndsAtOnceWithItsPeer) {
  run({[&] {
         say_and_report("request");
         far_.reset();
       },
       [&] { report(); },
       [&] {
         EXPECT_EQ(log_, (Names{"data request", "closed"}));
         EXPECT_EQ(changes(), (Names{"add read", "remove"}));
         EXPECT_LT(poller_.last_timeout(), 0ns) << "there is nobody to linger for";
         expect_gone();
       }});
}

TEST_F(StreamCloseTest, IsOfNoInterestInTheTurnInWhichItHasEnded) {
  run({[&] {
         far_.reset();
         report();
         report();
       },
       [&] { EXPECT_EQ(log_, Names{"closed"}); }});
}

TEST_F(StreamCloseTest, SaysWhatAReadFailedWith) {
  events_.opened = [](Conn&, Output& out, Options&) {
    out = "unread";
    return Action::None;
  };
  run({[&] {
    far_.reset();  // which resets the other end
    report();
  }});
  ASSERT_EQ(before_shutdown().size(), 1u);
  EXPECT_EQ(log_[0].rfind("closed: read ", 0), 0u) << log_[0];
}

TEST_F(StreamCloseTest, WaitsUntilItsOutputIsWritten) {
  close_with(much());
  run({[&] { say_and_report("request"); }, [&] { say_and_report("more"); },
       [&] {
         EXPECT_EQ(log_, Names{});
         EXPECT_EQ(server_.closed, 0);
         from_elsewhere([&] { EXPECT_FALSE(conn_.send("late")); });
       },
       hear(much().size()),
       [&] {
         EXPECT_TRUE(received_ == much());
         EXPECT_EQ(log_, Names{"closed"});
         EXPECT_EQ(server_.closed, 1);
       }});
}

TEST_F(StreamCloseTest, ClosedIsCalledBeforeThePeerCanSeeTheEnd) {
  close_with("bye");
  events_.closed = [&](Conn& conn, const Error&) {
    EXPECT_EQ(heard(), "bye");
    EXPECT_FALSE(far_ended());
    EXPECT_NE(conn.context<std::string>(), nullptr);
    return Action::None;
  };
  run({[&] {
         conn_.set_context(std::string("context"));
         say_and_report("x");
       },
       [&] {
         EXPECT_TRUE(far_ended());
         EXPECT_EQ(conn_.context<std::string>(), nullptr);
       }});
}

// So a peer that comes back at once finds it gone.
TEST_F(StreamCloseTest, CountsNoMoreAfterClosedAndBeforeThePeerCanSeeTheEnd) {
  close_with("bye");
  server_.before_count = [&](const Endpoint& connection) {
    log_.push_back("counted out");
    EXPECT_EQ(connection.id(), conn_.id());
    EXPECT_EQ(heard(), "bye");
    EXPECT_FALSE(far_ended());
  };
  run({[&] { say_and_report("x"); }, [&] { EXPECT_TRUE(far_ended()); }});
  EXPECT_EQ(before_shutdown(), (Names{"closed", "counted out"}));
}

TEST_F(StreamCloseTest, CountsUntilDetachedHasReturned) {
  events_.data = [](Conn&, const Bytes&, Output&) { return Action::Detach; };
  events_.detached = [&](Conn&, const DetachedConn&) {
    log_.push_back("detached");
    return Action::None;
  };
  server_.before_count = [&](const Endpoint&) { log_.push_back("counted out"); };
  run({[&] { say_and_report("x"); }});
  EXPECT_EQ(before_shutdown(), (Names{"detached", "counted out"}));
}

TEST_F(StreamCloseTest, LingersUntilItsPeerEnds) {
  close_with("bye");
  run({[&] { say_and_report("request"); }, [&] { say_and_report("more"); },
       [&] {
         EXPECT_EQ(log_, Names{"closed"});
         EXPECT_TRUE(near_is_open());
         EXPECT_EQ(changes(), Names{"add read"});
         EXPECT_GT(poller_.last_timeout(), 0ns);
         far_.reset();
         report();
       },
       [&] {
         EXPECT_EQ(log_, Names{"closed"});
         EXPECT_EQ(changes(), (Names{"add read", "remove"}));
         expect_gone();
       }});
}

TEST_F(StreamCloseTest, LingersForASecondAtMost) {
  close_with("bye");
  Timer::TimePoint began;
  run({[&] {
         began = Timer::Clock::now();
         say_and_report("x");
       },
       wait_until_gone(),
       [&] {
         EXPECT_EQ(Timer::Clock::now(), began + 1s);
         expect_gone();
       }});
}

// A reader that has stopped gets a minute, one that goes on as long as it takes.
TEST_F(StreamCloseTest, IsResetWhenItsPeerHasAcknowledgedNothingForAMinute) {
  make_tcp_pair();
  close_with(std::string(kSlowlyRead, 'x'));
  Timer::TimePoint began;
  run({[&] { say_and_report("x"); }, take_all_into_the_kernel(),
       [&] {
         began = Timer::Clock::now();
         EXPECT_NE(unacknowledged(), 0);
       },
       wait_until_gone(),
       [&] {
         EXPECT_GE(Timer::Clock::now() - began, 60s);
         EXPECT_LE(Timer::Clock::now() - began, 120s) << "a late acknowledgement may have begun another minute";
         expect_gone();
         received_ += heard();
         EXPECT_LT(received_.size(), kSlowlyRead);
         EXPECT_TRUE(far_ended());
       }});
}

TEST_F(StreamCloseTest, LingersOnAsLongAsItsPeerAcknowledgesSomething) {
  make_tcp_pair();
  close_with(std::string(kSlowlyRead, 'x'));
  int seconds = 0;
  Turn read_slowly = [&] {
    clock_.advance(1s);
    const int before = unacknowledged();
    if (++seconds % 50 == 0) {
      while (unacknowledged() == before) read_some();
    }
    if (seconds != 150) poller_.turns.push_front(read_slowly);
  };
  run({[&] { say_and_report("x"); }, take_all_into_the_kernel(), read_slowly,
       [&] {
         EXPECT_EQ(log_, Names{"closed"});
         EXPECT_NE(unacknowledged(), 0) << "it was open to the end";
       }});
}

TEST_F(StreamCloseTest, LingersForTheWholeDrainIfItsPeerHasNotAcknowledgedEverything) {
  make_tcp_pair();
  close_with(std::string(kSlowlyRead, 'x'));
  drains_ = true;
  drain_until_ = Timer::Clock::now() + 10s;
  const Turn later = [&] { clock_.advance(1500ms); };
  run({[&] { say_and_report("x"); }, take_all_into_the_kernel(), [&] { server_.shut_down(); }, later, later, later,
       [&] {
         log_.push_back(near_is_open() ? "still open" : "cut off");
         drains_ = false;
       }});
  EXPECT_EQ(log_, (Names{"closed", "shutdown", "still open"}));
  EXPECT_FALSE(near_is_open());
}

TEST_F(StreamCloseTest, CloseOfAnotherThreadComesAfterWhatItHasSent) {
  run({[&] {
         from_elsewhere([&] {
           EXPECT_TRUE(conn_.send("bye"));
           EXPECT_TRUE(conn_.close());
           EXPECT_FALSE(conn_.close());
           EXPECT_FALSE(conn_.send("late"));
           EXPECT_FALSE(conn_.wake());
         });
       },
       [&] {
         EXPECT_EQ(heard(), "bye");
         EXPECT_TRUE(far_ended());
         EXPECT_EQ(log_, Names{"closed"});
       }});
}

TEST_F(StreamCloseTest, ReadsNothingOnceItIsToClose) {
  struct Before final : Pollable {
    std::function<void()> act;
    void on_ready() noexcept override { act(); }
  } before;
  // Later than the turn's notes, whose own is still to come when the stream is ready.
  before.act = [&] { from_elsewhere([&] { EXPECT_TRUE(conn_.close()); }); };
  run({[&] {
         poller_.report(before);
         say_and_report("late");
       },
       [&] { EXPECT_EQ(log_, Names{"closed"}); }});
}

TEST_F(StreamCloseTest, ClosedThatThrowsShutsTheServerDown) {
  close_with("bye");
  events_.closed = [](Conn&, const Error&) -> Action { throw std::runtime_error("oh no"); };
  run({[&] { say_and_report("x"); }});
  EXPECT_EQ(server_.failures, Names{"oh no"});
  EXPECT_EQ(heard(), "bye");
  EXPECT_TRUE(far_ended());
  expect_gone();
}

TEST_F(StreamCloseTest, GivesItsSocketAwayBlockingAndUnwatched) {
  events_.data = [](Conn&, const Bytes&, Output& out) {
    out = much();
    return Action::Detach;
  };
  DetachedConn socket;
  events_.detached = [&](Conn& conn, DetachedConn given) {
    EXPECT_EQ(conn, conn_);
    EXPECT_EQ(changes().back(), "remove");
    socket = std::move(given);
    log_.emplace_back("detached");
    return Action::None;
  };
  run({[&] { say_and_report("x"); }, [&] { EXPECT_EQ(log_, Names{}) << "its output is pending"; }, hear(much().size()),
       [&] {
         EXPECT_EQ(log_, Names{"detached"});
         EXPECT_EQ(server_.closed, 1);
         EXPECT_TRUE(is_freed());
       }});
  EXPECT_TRUE(received_ == much());
  EXPECT_EQ(socket.fd(), fd_);
  EXPECT_EQ(::fcntl(fd_, F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(StreamCloseTest, DetachClosesWhereNobodyWantsTheSocket) {
  events_.data = [](Conn&, const Bytes&, Output&) { return Action::Detach; };
  run({[&] { say_and_report("x"); }, [&] { EXPECT_EQ(log_, Names{"closed"}); }});
}

TEST_F(StreamCloseTest, ShutdownOfACallbackSendsItsOutputAndClosesIt) {
  events_.data = [](Conn&, const Bytes&, Output& out) {
    out = "bye";
    return Action::Shutdown;
  };
  run({[&] { say_and_report("x"); }, [&] { EXPECT_EQ(server_.shut_downs, 1); }});
  EXPECT_EQ(heard(), "bye");
  EXPECT_TRUE(far_ended());
  EXPECT_EQ(server_.shut_downs, 1);
  EXPECT_EQ(log_, (Names{"shutdown", "closed"}));
  expect_gone();
}

TEST_F(StreamCloseTest, AShutdownWaitsForWhatIsPendingAndReadsNothing) {
  drains_ = true;
  events_.opened = [](Conn&, Output& out, Options&) {
    out = much();
    return Action::None;
  };
  run({[&] { server_.shut_down(); },
       [&] {
         EXPECT_EQ(log_, Names{"shutdown"});
         say_and_report("late");
       },
       hear(much().size())});
  EXPECT_TRUE(received_ + heard() == much());
  EXPECT_TRUE(far_ended());
  EXPECT_EQ(log_, (Names{"shutdown", "closed"}));
  expect_gone();
}

TEST_F(StreamCloseTest, TheEndOfADrainClosesItAsItIs) {
  events_.opened = [](Conn&, Output& out, Options&) {
    out = much();
    return Action::None;
  };
  run({});
  EXPECT_EQ(log_, (Names{"shutdown", "closed"}));
  EXPECT_LT(heard().size(), much().size());
  EXPECT_TRUE(far_ended());
  expect_gone();
}

TEST_F(StreamCloseTest, WhatOthersHaveSentBeforeAShutdownLeaves) {
  run({[&] {
    from_elsewhere([&] { EXPECT_TRUE(conn_.send("sent")); });
    server_.shut_down();
  }});
  EXPECT_EQ(heard(), "sent");
  EXPECT_EQ(log_, (Names{"shutdown", "closed"}));
}

TEST_F(StreamCloseTest, IsClosedWithoutAWordIfItComesAfterTheShutdown) {
  events_.opened = [&](Conn&, Output&, Options&) {
    log_.emplace_back("opened");
    return Action::None;
  };
  server_.shut_down();
  run({});
  EXPECT_EQ(log_, Names{"shutdown"});
  EXPECT_EQ(server_.closed, 1);
  EXPECT_TRUE(is_freed());
  conn_ = Conn();
  EXPECT_TRUE(far_ended());
}

}  // namespace
}  // namespace evio::internal
