// abort(): a connection ends at once. Guarantee 20.
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "tests/unit/stream/stream_timeouts_fixture.hpp"

namespace evio::internal {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

class StreamAbortTest : public StreamTimeoutsTest {
 protected:
  static constexpr const char* kAborted = "closed: aborted";
};

TEST_F(StreamAbortTest, DropsWhatIsPendingAndResets) {
  make_tcp_pair();
  first_output_ = std::string(8'000'000, 'x');
  std::error_code code;
  events_.closed = [&](Conn& conn, const Error& err) {
    log_.emplace_back("closed");
    code = err.code();
    EXPECT_EQ(conn.pending(), 0u);
    EXPECT_FALSE(conn.abort());
    return Action::None;
  };
  run({[&] { from_elsewhere([&] { EXPECT_TRUE(conn_.abort()); }); },
       [&] {
         EXPECT_EQ(log_, Names{"closed"});
         EXPECT_TRUE(far_was_reset());
         EXPECT_FALSE(near_is_open());
         EXPECT_FALSE(conn_.abort());
       }});
  EXPECT_EQ(code, std::errc::operation_canceled);
}

TEST_F(StreamAbortTest, OfAUnixSocketIsTheEndThoughInputWaits) {
  first_output_ = "before";
  run({[&] {
         EXPECT_TRUE(conn_.pause());
         say("what nobody reads");
         from_elsewhere([&] { EXPECT_TRUE(conn_.abort()); });
       },
       [&] {
         EXPECT_EQ(log_, Names{kAborted});
         EXPECT_FALSE(far_was_reset());
         EXPECT_TRUE(far_ended());
       }});
}

TEST_F(StreamAbortTest, InItsOwnCallbackDropsTheOutput) {
  events_.data = [](Conn& conn, const Bytes&, Output& out) {
    EXPECT_TRUE(conn.send("dropped"));
    EXPECT_TRUE(conn.abort());
    EXPECT_FALSE(conn.send("refused"));
    EXPECT_FALSE(conn.post([](Conn&, Output&) { return Action::None; }));
    out = "dropped too";
    return Action::None;
  };
  run({[&] { say_and_report("x"); },
       [&] {
         EXPECT_EQ(log_, Names{kAborted});
         EXPECT_EQ(heard(), "");
         EXPECT_TRUE(far_ended());
       }});
}

TEST_F(StreamAbortTest, InOpenedEndsItBeforeItIsWatched) {
  events_.opened = [](Conn& conn, Output& out, Options&) {
    EXPECT_TRUE(conn.abort());
    out = "dropped";
    return Action::None;
  };
  run({[&] {
    EXPECT_EQ(log_, Names{kAborted});
    EXPECT_EQ(heard(), "");
    EXPECT_EQ(changes(), Names{});
  }});
}

TEST_F(StreamAbortTest, InATimeoutEndsIt) {
  options_.idle_timeout = 10s;
  events_.timeout = [](Conn& conn, Timeout, Output& out) {
    EXPECT_TRUE(conn.abort());
    out = "dropped";
    return Action::None;
  };
  run({sleep_until(10s), [&] {
         EXPECT_EQ(log_, Names{kAborted});
         EXPECT_EQ(heard(), "");
       }});
}

// Its own socket is ready in the same turn.
TEST_F(StreamAbortTest, InACallbackOfAnotherConnectionDropsWhatIsPending) {
  first_output_ = much();
  std::size_t before = 0;
  run({[&] {
         before = heard().size();
         meanwhile([&] { EXPECT_TRUE(conn_.abort()); })();
         report();
       },
       [&] {
         EXPECT_EQ(log_, Names{kAborted});
         EXPECT_EQ(heard(), "") << "of what was pending";
         EXPECT_TRUE(far_ended());
       }});
  EXPECT_GT(before, 0u);
}

TEST_F(StreamAbortTest, InACallbackOfAnotherConnectionDeliversNoInput) {
  run({[&] {
         meanwhile([&] { EXPECT_TRUE(conn_.abort()); })();
         say_and_report("late");
       },
       [&] { EXPECT_EQ(log_, Names{kAborted}); }});
}

TEST_F(StreamAbortTest, EndsAConnectionThatCloses) {
  first_output_ = much();
  run({[&] { EXPECT_TRUE(conn_.close()); },
       [&] {
         EXPECT_EQ(log_, Names{});
         EXPECT_TRUE(conn_.abort());
       },
       [&] { EXPECT_EQ(log_, Names{kAborted}); }});
}

TEST_F(StreamAbortTest, EndsAConnectionThatIsToBeDetached) {
  options_.read_while_pending = true;
  first_output_ = much();
  events_.data = [](Conn&, const Bytes&, Output&) { return Action::Detach; };
  events_.detached = [&](Conn&, DetachedConn) {
    log_.emplace_back("detached");
    return Action::None;
  };
  run({[&] { say_and_report("x"); }, [&] { from_elsewhere([&] { EXPECT_TRUE(conn_.abort()); }); },
       [&] { EXPECT_EQ(log_, Names{kAborted}); }});
}

TEST_F(StreamAbortTest, IsFalseOfWhatHasClosed) {
  run({[&] { EXPECT_TRUE(conn_.close()); },
       [&] {
         EXPECT_EQ(log_, Names{"closed"});
         EXPECT_FALSE(conn_.abort()) << "it lingers";
       }});
  EXPECT_FALSE(conn_.abort());
}

TEST_F(StreamAbortTest, DestroysWhatWasPostedUnrun) {
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = owned;
  run({[&] {
         conn_.post_after(1h, [owned](Conn&, Output&) { return Action::None; });
         owned.reset();
         EXPECT_FALSE(watched.expired());
         from_elsewhere([&] { EXPECT_TRUE(conn_.abort()); });
       },
       [&] {
         EXPECT_EQ(log_, Names{kAborted});
         EXPECT_TRUE(watched.expired());
       }});
}

TEST_F(StreamAbortTest, EndsADrain) {
  drains_ = true;
  first_output_ = much();
  run({[&] { server_.shut_down(); }, [&] { EXPECT_TRUE(conn_.abort()); }});
  EXPECT_EQ(log_, (Names{"shutdown", kAborted}));
}

}  // namespace
}  // namespace evio::internal
