#pragma once

#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <functional>
#include <string>
#include <utility>

#include "tests/unit/stream/stream_fixture.hpp"

namespace evio::internal {

/// A stream with timeouts, whose time passes only when its test says so. A unix socket is exact; over TCP the kernel
/// acknowledges when it likes. Thread-safety: one thread.
class StreamTimeoutsTest : public StreamTest {
 protected:
  using nanoseconds = std::chrono::nanoseconds;

  StreamTimeoutsTest() {
    events_.opened = [this](Conn&, Output& out, Options& opts) {
      opts = options_;
      out = std::exchange(first_output_, {});
      return Action::None;
    };
  }

  // `timeout` says what it is called for in the log, and returns `answer_`.
  void note_timeouts() {
    events_.timeout = [this](Conn& conn, Timeout what, Output& out) {
      EXPECT_EQ(conn, conn_);
      EXPECT_TRUE(out.empty());
      log_.emplace_back(what == Timeout::Idle ? "idle" : what == Timeout::Write ? "write" : "deadline");
      return answer_;
    };
  }
  nanoseconds elapsed() const { return Timer::Clock::now() - began_; }
  // The loop sleeps as it wants to, and so often, until then. What is due runs in this turn.
  Turn sleep_until(nanoseconds when) {
    return [this, when] {
      const nanoseconds left = when - elapsed();
      const nanoseconds asked = poller_.last_timeout();
      const bool wakes_before = asked >= nanoseconds(0) && asked < left;
      clock_.advance(wakes_before ? asked : left);
      if (wakes_before) poller_.turns.push_front(sleep_until(when));
    };
  }
  // Nothing comes before that, and this then.
  void expect_at(std::deque<Turn>& turns, nanoseconds when, const std::string& what) {
    turns.push_back(sleep_until(when - nanoseconds(1)));
    turns.push_back([this, when] { EXPECT_EQ(log_, Names{}) << "earlier than " << when.count(); });
    turns.push_back(sleep_until(when));
    turns.push_back([this, what] {
      EXPECT_EQ(log_, what.empty() ? Names{} : Names{what});
      log_.clear();
    });
  }
  // What a callback of another connection does in this turn.
  Turn meanwhile(std::function<void()> act) {
    return [this, act = std::move(act)] {
      other_.act = act;
      poller_.report(other_);
    };
  }
  // What another thread does while the loop is busy with another connection: behind the notes of the turn.
  Turn meanwhile_elsewhere(std::function<void()> act) {
    return meanwhile([this, act = std::move(act)] { from_elsewhere(act); });
  }
  int held() const {
    int bytes = 0;
    EXPECT_EQ(::ioctl(fd_, SIOCOUTQ, &bytes), 0);
    return bytes;
  }
  // The far end reads until the kernel holds less for it, and not so much that more would fit.
  void read_a_little() {
    const int before = held();
    while (held() == before && read_some()) {
    }
  }
  bool read_some() {
    std::array<char, 1'000> room;
    const ssize_t n = ::recv(far_.get(), room.data(), room.size(), 0);
    EXPECT_GT(n, 0);
    if (n > 0) received_.append(room.data(), static_cast<std::size_t>(n));
    return n > 0;
  }
  static std::string timed_out(const std::string& which) { return which + ": Connection timed out"; }
  bool closed_because_of(const std::string& which) const {
    return log_.size() == 1 && log_[0].starts_with("closed: ") && log_[0].ends_with(timed_out(which));
  }
  Turn expect_closed(std::string which) {
    return [this, which = std::move(which)] {
      EXPECT_TRUE(closed_because_of(which)) << testing::PrintToString(log_);
      log_.clear();
    };
  }
  Turn expect_nothing() {
    return [this] { EXPECT_EQ(log_, Names{}); };
  }
  bool far_was_reset() {
    char byte = 0;
    ssize_t n = 0;
    while ((n = ::recv(far_.get(), &byte, 1, MSG_DONTWAIT)) > 0) {
    }
    return n < 0 && errno == ECONNRESET;
  }

  const Timer::TimePoint began_ = Timer::Clock::now();
  Options options_;
  std::string first_output_;
  Action answer_ = Action::None;
};

}  // namespace evio::internal
