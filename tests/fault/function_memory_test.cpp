// Memory runs out where a function is posted to a connection or a loop, in the call or at its loop.
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "tests/fault/failing_memory.hpp"
#include "tests/support/fate.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

// Whatever is lacking for a function, in the call or when its loop hears of it: one that is refused is destroyed in the
// call; one that was taken runs, or its connection is closed for want of memory. Each is destroyed once.
class FunctionWithoutMemoryTest : public FailingMemoryTest {
 protected:
  enum class How { kPost, kPostAfter, kServerPost, kServerPostAfter };

  // Makes the call while the nth allocation fails, of the calling thread and of the loop. Returns whether it did.
  bool fail_nth(How how, bool on_loop, int nth);
  void call(How how, Fate& fate);
  Events handlers() {
    Events handlers = events();
    handlers.opened = [this](Conn& conn, Output&, Options&) {
      may_fail = true;  // this loop's thread from now on
      const Untouched mine;
      conn_ = conn;
      opened_.add();
      return Action::None;
    };
    handlers.data = [this](Conn&, const Bytes&, Output&) {
      in_loop_();
      return Action::None;
    };
    handlers.closed = [this](Conn&, const Error&) {
      const Untouched mine;
      closed_.add();
      return Action::None;
    };
    return handlers;
  }

  std::unique_ptr<TestServer> server_;
  Conn conn_;
  Counter opened_;
  Counter closed_;
  Counter called_;
  std::function<void()> in_loop_;
  bool taken_ = false;
  bool ended_in_the_call_ = false;
  std::thread::id caller_;
};
EVIO_INSTANTIATE(FunctionWithoutMemoryTest, modes_of({1, 4}));

void FunctionWithoutMemoryTest::call(How how, Fate& fate) {
  using std::chrono::nanoseconds;
  const auto of_conn = [&] {
    return [token = fate.token()](Conn&, Output&) {
      token.run();
      return Action::None;
    };
  };
  const auto of_loop = [&] {
    return [token = fate.token()] {
      token.run();
      return Action::None;
    };
  };
  const Server& server = server_->handle();
  const int loop = conn_.loop_index();
  caller_ = std::this_thread::get_id();
  taken_ = true;
  may_fail = true;
  if (how == How::kPost) taken_ = conn_.post(of_conn());
  if (how == How::kPostAfter) conn_.post_after(nanoseconds(1), of_conn());
  if (how == How::kServerPost) taken_ = server.post(loop, of_loop());
  if (how == How::kServerPostAfter) server.post_after(loop, nanoseconds(1), of_loop());
  // Of a timer nobody is told; at its loop only what is refused can have ended by now.
  ended_in_the_call_ = fate.ends() != 0 && fate.where() == caller_;
  const Untouched mine;
  called_.add();
}

bool FunctionWithoutMemoryTest::fail_nth(How how, bool on_loop, int nth) {
  SCOPED_TRACE("call " + std::to_string(static_cast<int>(how)) + (on_loop ? " of its loop" : " of a thread") +
               ", allocation " + std::to_string(nth));
  const std::size_t opened = opened_.value();
  const std::size_t called = called_.value();
  const std::size_t closed = closed_.value();
  Client client = server_->connect();
  EXPECT_TRUE(opened_.wait_for(opened + 1));
  Fate fate;
  in_loop_ = [&] {
    fail_allocations(nth);
    call(how, fate);
  };
  if (on_loop) {
    client.send_all("go");
  } else {
    fail_allocations(nth);
    std::thread([&] {
      call(how, fate);
      may_fail = false;
    }).join();
  }
  EXPECT_TRUE(called_.wait_for(called + 1));
  EXPECT_TRUE(fate.wait_for_end());
  const bool some_failed = fail_no_more() != 0;
  EXPECT_EQ(fate.ends(), 1u);
  EXPECT_LE(fate.runs(), 1u);
  if (!taken_) {
    EXPECT_TRUE(ended_in_the_call_);
  }
  if (ended_in_the_call_) {
    EXPECT_EQ(fate.runs(), 0u);
    EXPECT_EQ(fate.where(), caller_);
  } else {
    if (!on_loop) {
      EXPECT_NE(fate.where(), caller_);
    }
    if (fate.runs() == 0) {
      EXPECT_TRUE(how == How::kPost || how == How::kPostAfter);
      EXPECT_TRUE(closed_.wait_for(closed + 1)) << "it was lost";
    }
  }
  client.close();
  EXPECT_TRUE(closed_.wait_for(closed + 1));
  return some_failed;
}

TEST_P(FunctionWithoutMemoryTest, RunsOrIsDestroyedInTheCallOrCostsItsConnection) {
  int total = 0;
  for (const How how : {How::kPost, How::kPostAfter, How::kServerPost, How::kServerPostAfter}) {
    for (const bool on_loop : {false, true}) {
      server_ = std::make_unique<TestServer>(handlers(), address());
      int nth = 0;
      while (fail_nth(how, on_loop, nth) && nth < 50 && !HasFailure()) ++nth;
      EXPECT_LT(nth, 50);
      total += nth;
      server_.reset();
      conn_ = {};
    }
  }
  EXPECT_GT(total, 8);  // each takes one allocation at least
}

// In a callback of its own a connection's texts leave before the functions that wait. Where there is no memory to put
// them behind, the text is refused, and they stay.
TEST_P(FunctionWithoutMemoryTest, StaysWhereATextThatIsToLeaveBeforeItIsRefused) {
  for (const bool elsewhere : {false, true}) {
    server_ = std::make_unique<TestServer>(handlers(), address());
    bool some_failed = true;
    for (int nth = 0; some_failed && nth != 50 && !HasFailure(); ++nth) {
      SCOPED_TRACE((elsewhere ? "of a thread, allocation " : "of its loop, allocation ") + std::to_string(nth));
      const std::size_t opened = opened_.value();
      const std::size_t closed = closed_.value();
      Client client = server_->connect();
      ASSERT_TRUE(opened_.wait_for(opened + 1));
      Fate fate;
      bool posted = false;
      bool sent = false;
      Gate done;
      const auto post = [&] {
        posted = conn_.post([token = fate.token()](Conn&, Output& out) {
          const Untouched mine;
          token.run();
          out = "f";
          return Action::None;
        });
      };
      in_loop_ = [&] {
        {
          const Untouched mine;
          elsewhere ? std::thread(post).join() : post();
          fail_allocations(nth);
        }
        sent = conn_.send("text,");
        some_failed = fail_no_more() != 0;
        const Untouched mine;
        done.open();
      };
      ASSERT_TRUE(client.send_all("go"));
      ASSERT_TRUE(done.wait());
      ASSERT_TRUE(posted);
      ASSERT_TRUE(fate.wait_for_end());
      EXPECT_EQ(fate.runs(), 1u) << "it was lost";
      EXPECT_EQ(client.receive(sent ? 6 : 1), sent ? "text,f" : "f");
      EXPECT_EQ(conn_.pending(), 0u);
      client.close();
      ASSERT_TRUE(closed_.wait_for(closed + 1));
    }
    EXPECT_FALSE(some_failed);
    server_.reset();
    conn_ = {};
  }
}

}  // namespace
}  // namespace evio::test
