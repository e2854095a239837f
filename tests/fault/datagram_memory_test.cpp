// Memory runs out where an answer to a datagram cannot be sent: that costs the notice of it, and nothing else.
#include <string>

#include "tests/fault/failing_memory.hpp"
#include "tests/support/datagram_client.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class DatagramMemoryTest : public FailingMemoryTest {};
EVIO_INSTANTIATE(DatagramMemoryTest, modes_of({1}));

TEST_P(DatagramMemoryTest, ANoticeThatHasNoWordsDisturbsNobody) {
  const bool epoll = mode().poller == PollerKind::kEpoll;
  bool some_failed = true;
  for (int nth = 0; some_failed && nth != 50 && !HasFailure(); ++nth) {
    SCOPED_TRACE(nth);
    Counter notices;
    Events handlers = events();
    handlers.serving = [](const Server&) {
      may_fail = true;
      return Action::None;
    };
    handlers.data = [&](Conn&, const Bytes& in, Output& out) {
      const Untouched mine;
      if (in != "large") {
        out = in;
        return Action::None;
      }
      out = std::string(65'530, 'x');  // more than a datagram takes
      fail_allocations(nth);
      return Action::None;
    };
    handlers.notice = [&](Notice what, const Error& err) {
      const Untouched mine;
      EXPECT_EQ(what, Notice::DatagramFailed);
      EXPECT_EQ(err.code(), std::errc::message_size);
      notices.add();
    };
    TestServer server(handlers, epoll ? "udp://127.0.0.1:0" : "udp-net://127.0.0.1:0");
    DatagramClient client("127.0.0.1", server.addr().port());
    client.send("large");
    EXPECT_TRUE(eventually([&] { return server.handle().stats().datagrams_failed == 1; }));
    client.send("small");
    EXPECT_EQ(client.receive_text(), "small");
    some_failed = fail_no_more() != 0;
    EXPECT_TRUE(some_failed || notices.value() == 1);
    server.shutdown();
    EXPECT_FALSE(server.wait());
  }
  EXPECT_FALSE(some_failed);
}

}  // namespace
}  // namespace evio::test
