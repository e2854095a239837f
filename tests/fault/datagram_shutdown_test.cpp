// A server that shuts down while the answers to datagrams wait for room.
#include <sys/epoll.h>

#include <atomic>
#include <cerrno>
#include <string>

#include "tests/fault/inject.hpp"
#include "tests/support/datagram_client.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class DatagramShutdownTest : public ModeTest {};
EVIO_INSTANTIATE(DatagramShutdownTest, modes_of(Network::kTcp, {1}));

// What `closed` sends makes room for the answers; the socket, which was waiting for room, then has nothing to say.
TEST_P(DatagramShutdownTest, StopsWatchingASocketWithoutAnswers) {
  std::atomic<bool> blocked{false};
  Injection injection(
      [&](Invocation& invocation) { return invocation.call == Call::kSendmmsg && blocked ? EAGAIN : 0; });
  const std::string much = pattern(20'000'000);
  Conn peer;
  Counter heard;
  EventLog log;
  Events handlers = events();
  handlers.drain_timeout = std::chrono::milliseconds(500);
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    if (conn.remote_addr().network() == "udp") peer = conn;
    out = in == "much" ? std::string_view(much) : std::string_view(in);
    heard.add();
    return Action::None;
  };
  handlers.closed = [&](Conn& conn, const Error&) {
    if (blocked.exchange(false)) {
      EXPECT_TRUE(peer.send("by the way"));
    }
    log.add(conn, "closed");
    return Action::None;
  };
  const std::string net = mode().poller == PollerKind::kPortable ? "-net" : "";
  TestServer server(handlers, {address(), "udp" + net + "://127.0.0.1:0"});
  Client idle = server.connect();
  idle.send_all("x");
  ASSERT_TRUE(heard.wait_for(1));
  Client busy(server.addr(), {.receive_buffer = 131'072});
  busy.send_all("much");
  ASSERT_TRUE(heard.wait_for(2));
  blocked = true;
  DatagramClient datagrams("127.0.0.1", server.addr(1).port());
  datagrams.send("answer");
  ASSERT_TRUE(heard.wait_for(3));
  server.shutdown();
  ASSERT_TRUE(log.wait_for("closed"));
  const int before = injection.count(Call::kEpollWait) + injection.count(Call::kPoll);
  EXPECT_FALSE(server.wait());
  // One that spins makes tens of thousands of these meanwhile.
  EXPECT_LT(injection.count(Call::kEpollWait) + injection.count(Call::kPoll) - before, 500);
  EXPECT_EQ(datagrams.receive_text(), "answer");
  EXPECT_EQ(datagrams.receive_text(), "by the way");
}

// The system has just refused to watch the socket for room (epoll_ctl(2)).
TEST_P(DatagramShutdownTest, SendsTheAnswersOfASocketThatHasPaused) {
  std::atomic<int> sends{0};
  std::atomic<int> refusals{0};
  const Injection injection([&](Invocation& invocation) {
    if (invocation.call == Call::kSendmmsg) return sends++ == 0 ? EAGAIN : 0;
    const bool is_change = invocation.call == Call::kEpollCtl && invocation.operation == EPOLL_CTL_MOD;
    return is_change && refusals++ == 0 ? ENOMEM : 0;
  });
  Events handlers = events();
  handlers.drain_timeout = kPatience;
  handlers.data = [](Conn&, const Bytes& in, Output& out) {
    out = in;
    return Action::Shutdown;
  };
  const bool portable = mode().poller == PollerKind::kPortable;
  TestServer server(handlers, portable ? "udp-net://127.0.0.1:0" : "udp://127.0.0.1:0");
  DatagramClient client("127.0.0.1", server.addr().port());
  client.send("answer");
  EXPECT_EQ(client.receive_text(), "answer");
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(refusals, portable ? 0 : 1);
}

}  // namespace
}  // namespace evio::test
