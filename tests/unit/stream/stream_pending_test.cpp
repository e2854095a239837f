// How much output of a connection waits, how much may, and whose its descriptor is: what takes exact turns.
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "internal/stream/stream.hpp"
#include "tests/unit/stream/flow_fixture.hpp"

namespace evio::internal {
namespace {

class StreamPendingTest : public StreamFlowTest {};

// pending(), from the loop's own thread and as another thread would see it.
TEST_F(StreamPendingTest, PendingIsExactAtEachStep) {
  std::size_t sent = much().size();
  welcome_ = much();
  events_.data = [&](Conn& conn, const Bytes&, Output& out) {
    EXPECT_EQ(conn.pending(), left_of(sent));
    conn.send(std::string_view("short"));
    sent += 5;
    EXPECT_EQ(conn.pending(), left_of(sent));
    conn.send(much());
    sent += much().size();
    EXPECT_EQ(conn.pending(), left_of(sent));
    from_elsewhere([&] {
      EXPECT_TRUE(conn.send("theirs"));
      sent += 6;
      EXPECT_EQ(conn.pending(), left_of(sent));
    });
    out = "answer";
    EXPECT_EQ(conn.pending(), left_of(sent)) << "out is still the callback's";
    sent += 6;
    return Action::None;
  };
  const Turn look = [&] { EXPECT_EQ(conn_.pending(), left_of(sent)); };
  run({look,
       [&] {
         look();
         from_elsewhere([&] {
           EXPECT_TRUE(conn_.send("x"));
           ++sent;
           look();
           EXPECT_TRUE(conn_.wake());
         });
       },
       [&] {
         look();
         hear_some(100'000);
         report();
       },
       [&] {
         look();
         hear_some(50'000);
         look();
       },
       [&] {
         look();
         poller_.turns.push_front(hear(sent));
       },
       [&] {
         EXPECT_EQ(received_.size(), sent);
         EXPECT_EQ(conn_.pending(), 0u);
         log_.clear();
       }});
  EXPECT_EQ(conn_.pending(), 0u);
}

TEST_F(StreamPendingTest, NothingIsPendingOnceItsEndIsTold) {
  welcome_ = much();
  std::vector<std::size_t> seen;
  events_.closed = [&](Conn& conn, const Error&) {
    seen.push_back(conn.pending());
    return Action::None;
  };
  run({[&] {
         EXPECT_GT(conn_.pending(), 0u);
         from_elsewhere([&] { EXPECT_TRUE(conn_.abort()); });
       },
       [&] { EXPECT_EQ(seen, std::vector<std::size_t>{0}); }});
  EXPECT_EQ(conn_.pending(), 0u);
}

TEST_F(StreamPendingTest, ALimitRefusesASendWholeAndExactly) {
  options_.max_pending = 1'000;
  events_.data = [&](Conn& conn, const Bytes&, Output&) {
    const std::size_t before = conn.pending();
    EXPECT_EQ(before, 0u);
    EXPECT_FALSE(conn.send(std::string(1'001, 'a'))) << "short enough to be copied";
    EXPECT_FALSE(conn.send(std::string(100'000, 'a'))) << "long enough to be shared";
    EXPECT_FALSE(conn.send(Bytes(std::string(100'000, 'a'))));
    EXPECT_EQ(conn.pending(), 0u);
    EXPECT_TRUE(conn.send(std::string(999, 'b')));
    EXPECT_FALSE(conn.send("cc"));
    EXPECT_TRUE(conn.send(""));
    from_elsewhere([&] {
      EXPECT_FALSE(conn.send("dd"));
      EXPECT_TRUE(conn.send("e"));
      EXPECT_FALSE(conn.send("f"));
      EXPECT_FALSE(conn.send(std::string(100'000, 'g')));
      EXPECT_TRUE(conn.send(std::string()));
    });
    EXPECT_FALSE(conn.send("h"));
    EXPECT_EQ(conn.pending(), 1'000u);
    return Action::None;
  };
  run({[&] { say_and_report("x"); }, [] {},
       [&] {
         EXPECT_EQ(heard(), std::string(999, 'b') + "e");
         EXPECT_EQ(conn_.pending(), 0u);
         say_and_report("again");
       },
       [] {}, [&] { EXPECT_EQ(heard(), std::string(999, 'b') + "e"); }});
}

TEST_F(StreamPendingTest, AReturnedOutputIsNotRefusedByALimitAndCounts) {
  options_.max_pending = 1'000;
  welcome_ = much();
  run({[&] {
         EXPECT_GT(conn_.pending(), 1'000u);
         EXPECT_FALSE(conn_.send("x"));
         from_elsewhere([&] { EXPECT_FALSE(conn_.send("x")); });
       },
       hear(much().size()),
       [&] {
         EXPECT_TRUE(conn_.send(std::string(1'000, 'x')));
         from_elsewhere([&] { EXPECT_FALSE(conn_.send("x")); });
       }});
}

TEST_F(StreamPendingTest, ItsDescriptorIsKnownInItsOwnCallbacksAlone) {
  options_.half_open = true;
  std::vector<std::pair<std::string, int>> seen;
  const auto see = [&](const char* where, const Conn& conn) { seen.emplace_back(where, conn.native_handle()); };
  events_.opened = [&](Conn& conn, Output& out, Options& options) {
    see("opened", conn);
    options = options_;
    out = much();
    return Action::None;
  };
  events_.congested = [&](Conn& conn) {
    see("congested", conn);
    return Action::None;
  };
  events_.drained = [&](Conn& conn, Output&) {
    see("drained", conn);
    return Action::None;
  };
  events_.data = [&](Conn& conn, const Bytes&, Output&) {
    see("data", conn);
    from_elsewhere([&] { EXPECT_EQ(conn.native_handle(), -1); });
    EXPECT_TRUE(conn.post([&](Conn& mine, Output&) {
      see("function", mine);
      return Action::None;
    }));
    return Action::None;
  };
  events_.ended = [&](Conn& conn, Output&) {
    see("ended", conn);
    return Action::Close;
  };
  events_.closed = [&](Conn& conn, const Error&) {
    see("closed", conn);
    return Action::None;
  };
  events_.pre_write = [&] { EXPECT_EQ(conn_.native_handle(), -1); };
  other_.act = [&] { EXPECT_EQ(conn_.native_handle(), -1) << "in another connection's callback"; };
  run({hear(much().size()),
       [&] {
         EXPECT_EQ(conn_.native_handle(), -1);
         poller_.report(other_);
         say_and_report("x");
       },
       [&] {
         end_far();
         report();
       },
       [&] { EXPECT_EQ(conn_.native_handle(), -1); }});
  const std::vector<std::pair<std::string, int>> all{{"opened", fd_}, {"congested", fd_}, {"drained", fd_},
                                                     {"data", fd_},   {"function", fd_},  {"ended", fd_},
                                                     {"closed", fd_}};
  EXPECT_EQ(seen, all);
}

}  // namespace
}  // namespace evio::internal
