#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "evio/evio.hpp"
#include "tests/support/fate.hpp"
#include "tests/support/sync.hpp"

namespace evio::test {

/// A dial with all that may hang on one: bytes, a function, a timer and a context, of which nothing may be left when it
/// is closed before it is open. Thread-safety: one thread.
class LadenDial {
  static auto running(Fate& fate) {
    return [token = fate.token()](Conn&, Output&) {
      token.run();
      return Action::None;
    };
  }

 public:
  LadenDial(const Server& server, const std::string& addr, Dial how)
      : conn_(server.dial(addr, context_, std::move(how))) {
    // Refused if it is over already.
    conn_.send("x");
    conn_.post(running(posted_));
    timer_ = conn_.post_after(std::chrono::hours(1), running(later_));
  }
  LadenDial(const LadenDial&) = delete;
  LadenDial& operator=(const LadenDial&) = delete;

  const Conn& conn() const noexcept { return conn_; }
  /// While it is being connected.
  void close() {
    EXPECT_TRUE(conn_.close());
    EXPECT_FALSE(conn_.send("y"));
  }
  void abort() {
    EXPECT_TRUE(conn_.abort());
    EXPECT_FALSE(conn_.send("y"));
  }
  /// Once `unreachable` was told of it.
  void expect_nothing_left() {
    EXPECT_TRUE(posted_.wait_for_end());
    EXPECT_TRUE(later_.wait_for_end());
    EXPECT_EQ(posted_.runs() + later_.runs(), 0u);
    EXPECT_FALSE(timer_.cancel());
    EXPECT_TRUE(eventually([this] { return context_.use_count() == 1; }));
    EXPECT_EQ(conn_.pending(), 0u);
    EXPECT_FALSE(conn_.send("z"));
    EXPECT_FALSE(conn_.close());
    EXPECT_FALSE(conn_.abort());
  }

 private:
  const std::shared_ptr<int> context_ = std::make_shared<int>(1);
  Fate posted_;
  Fate later_;
  Conn conn_;
  Timer timer_;
};

}  // namespace evio::test
