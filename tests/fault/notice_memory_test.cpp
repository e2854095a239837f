// Memory runs out where a notice is to be told, or a connection to be refused: there may be no notice, and nothing else
// comes of it.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "tests/fault/failing_memory.hpp"
#include "tests/support/datagram_client.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class NoticeMemoryTest : public FailingMemoryTest {
 protected:
  // Every loop's thread may fail from the beginning, but for what the handlers do.
  Events noting() {
    Events handlers = events();
    handlers.serving = [](const Server&) {
      may_fail = true;  // this thread is loop 0's
      return Action::None;
    };
    handlers.notice = [this](Notice, const Error&) {
      const Untouched mine;
      notices_.add();
    };
    return handlers;
  }
  static std::string net() { return mode().poller == PollerKind::kPortable ? "-net" : ""; }

  // While `once` is done over and over, after one allocation more each time `count` of them fail; until none does.
  template <class F>
  static int fail_each(int count, F once) {
    int nth = 0;
    for (bool some_failed = true; some_failed && nth != 50 && !HasFailure(); ++nth) {
      SCOPED_TRACE(std::to_string(count) + " after " + std::to_string(nth));
      fail_allocations(nth, count);
      once();
      some_failed = fail_no_more() != 0;
    }
    EXPECT_LT(nth, 50);
    return nth;
  }
  // It goes on, and stops when it is told to.
  static void expect_sound(TestServer& server) {
    server.shutdown();
    EXPECT_FALSE(server.wait());
    EXPECT_EQ(server.thrown_message(), "");
  }

  Counter notices_;
};
EVIO_INSTANTIATE(NoticeMemoryTest, modes_of({1}));

TEST_P(NoticeMemoryTest, ASlowCallbackCostsNothing) {
  Counter ran;
  Events handlers = noting();
  handlers.slow_callback = std::chrono::nanoseconds(1);
  TestServer server(handlers, address());
  int tried = 0;
  for (const int count : {1, 5}) {
    tried += fail_each(count, [&] {
      const std::size_t before = ran.value();
      EXPECT_TRUE(server.handle().post(0, [&] {
        const Untouched mine;
        ran.add();
        return Action::None;
      }));
      EXPECT_TRUE(ran.wait_for(before + 1));
      // What the call before had to tell is told by now.
      EXPECT_TRUE(server.handle().post(0, [&] {
        const Untouched mine;
        ran.add();
        return Action::None;
      }));
      EXPECT_TRUE(ran.wait_for(before + 2));
    });
  }
  EXPECT_GT(tried, 2);
  expect_sound(server);
}

TEST_P(NoticeMemoryTest, ARejectionIsOneAllTheSame) {
  Events handlers = noting();
  handlers.accepting = [](int, const Addr&) { return false; };
  TestServer server(handlers, address());
  std::uint64_t visits = 0;
  for (const int count : {1, 3}) {
    fail_each(count, [&] {
      Client client(server.addr(), {.may_be_refused = true});
      ++visits;
      client.receive_all();
    });
  }
  EXPECT_GT(visits, 2u);
  const Stats stats = server.handle().stats();
  EXPECT_EQ(stats.rejected + stats.accept_errors, visits) << stats.rejected;
  EXPECT_EQ(stats.accepted, 0u);
  expect_sound(server);
}

// An answer that is too large fails.
TEST_P(NoticeMemoryTest, AnAnswerThatFailsCostsThatAnswer) {
  const std::string large(70'000, 'x');
  Events handlers = noting();
  handlers.data = [&](Conn&, const Bytes& in, Output& out) {
    const Untouched mine;
    out = in == "large" ? std::string_view(large) : in.view();
    return Action::None;
  };
  TestServer server(handlers, "udp" + net() + "://127.0.0.1:0");
  DatagramClient client("127.0.0.1", server.addr().port());
  std::uint64_t failed = 0;
  for (const int count : {1, 3}) {
    fail_each(count, [&] {
      client.send("large");
      ++failed;
      EXPECT_TRUE(eventually([&] { return server.handle().stats().datagrams_failed == failed; }));
      client.send("small");  // what there is to tell is told when this is answered
      EXPECT_EQ(client.receive_text(), "small");
    });
  }
  expect_sound(server);
}

}  // namespace
}  // namespace evio::test
