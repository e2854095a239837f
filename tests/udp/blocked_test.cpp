// Guarantee 16 where the kernel takes no datagram for a while, which loopback never does by itself: sendmmsg(2) and
// sendmsg(2) are made to say so.
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/datagram_fixture.hpp"
#include "tests/support/handlers.hpp"

namespace {

// How many of the next calls say EAGAIN; how often they were made. Written by the test and the loops alike.
std::atomic<int> full_for{0};
std::atomic<int> refused{0};
std::atomic<int> fail_with{0};

bool is_full() {
  int left = full_for.load();
  while (left > 0 && !full_for.compare_exchange_weak(left, left - 1)) {
  }
  if (left <= 0) return false;
  ++refused;
  errno = EAGAIN;
  return true;
}

}  // namespace

extern "C" {
int __real_sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags);
int __wrap_sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  if (is_full()) return -1;
  if (const int err = fail_with.exchange(0); err != 0) {
    errno = err;
    return -1;
  }
  return __real_sendmmsg(fd, messages, count, flags);
}
ssize_t __real_sendmsg(int fd, const msghdr* message, int flags);
ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {
  return is_full() ? -1 : __real_sendmsg(fd, message, flags);
}
}

namespace evio::test {
namespace {

constexpr int kForever = 1 << 30;

class UdpBlockedTest : public DatagramTest {
 protected:
  void SetUp() override {
    DatagramTest::SetUp();
    full_for = refused = fail_with = 0;
  }
};
EVIO_INSTANTIATE_DATAGRAMS(UdpBlockedTest, all_datagram_modes());

TEST_P(UdpBlockedTest, AnswersWaitInOrder) {
  Events handlers = events();
  handlers.data = echo;
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  full_for = 5;
  for (int i = 0; i != 40; ++i) client.send(std::to_string(i));
  for (int i = 0; i != 40; ++i) ASSERT_EQ(client.receive_text(), std::to_string(i));
  EXPECT_EQ(refused.load(), 5);
}

TEST_P(UdpBlockedTest, AnswersInSeveralPiecesWaitToo) {
  Events handlers = events();
  handlers.data = [](Conn&, const Bytes& in, Output& out) {
    out.append("a").append(Bytes(std::string(16 * 1024, 'x'))).append(in);
    return Action::None;
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  full_for = 3;
  for (int i = 0; i != 5; ++i) client.send(std::to_string(i));
  for (int i = 0; i != 5; ++i) ASSERT_EQ(client.receive_text(), "a" + std::string(16 * 1024, 'x') + std::to_string(i));
}

TEST_P(UdpBlockedTest, SendSaysThatItCouldNot) {
  Events handlers = events();
  handlers.data = [](Conn& conn, const Bytes&, Output&) {
    full_for = 1;
    EXPECT_FALSE(conn.send("no"));
    EXPECT_TRUE(conn.send("yes"));
    return Action::None;
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  client.send("?");
  EXPECT_EQ(client.receive_text(), "yes");
  EXPECT_TRUE(client.is_quiet());
}

TEST_P(UdpBlockedTest, SendDoesNotOvertakeAnswersThatWait) {
  Events handlers = events();
  std::atomic<int> not_sent{0};
  Gate held;
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    EXPECT_TRUE(held.wait());
    if (in == "0") full_for = 1;
    if (in == "1" && !conn.send("sent")) ++not_sent;
    EXPECT_TRUE(!(in == "2") || conn.send("sent later"));
    out = in;
    return Action::None;
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  for (int i = 0; i != 3; ++i) client.send(std::to_string(i));
  held.open();
  std::vector<std::string> got;
  do {
    got.push_back(client.receive_text());
  } while (got.back() != "2" && got.size() < 5);
  if (not_sent == 0) {
    EXPECT_EQ(got, (std::vector<std::string>{"0", "sent", "1", "sent later", "2"}));
  } else {
    EXPECT_EQ(got, (std::vector<std::string>{"0", "1", "sent later", "2"}));
  }
}

// What a callback of another connection of the loop sends may find room again for answers that wait; the input that
// was kept of their batch is nobody's to overwrite then either.
TEST_P(UdpBlockedTest, OwnSendsLeaveKeptInputAlone) {
  std::mutex mutex;
  std::vector<Bytes> kept;
  Conn first;
  Counter sent;
  Events handlers = events();
  handlers.num_loops = 1;
  handlers.opened = nullptr;
  handlers.closed = nullptr;
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    if (conn.local_addr().network() == "tcp") {
      full_for = 0;
      EXPECT_TRUE(first.send("from the stream"));
      sent.add();
      return Action::None;
    }
    const std::lock_guard lock(mutex);
    if (kept.empty()) first = conn;
    kept.push_back(in);
    return echo(conn, in, out);
  };
  TestServer server(handlers, std::vector<std::string>{address(), "tcp://127.0.0.1:0"});
  DatagramClient client = connect(server);
  Client stream = server.connect(1);
  full_for = kForever;
  client.send("the first");
  ASSERT_TRUE(eventually([] { return refused.load() > 2; }));
  stream.send_all("now");
  ASSERT_TRUE(sent.wait_for(1));
  EXPECT_EQ(client.receive_text(), "the first");
  EXPECT_EQ(client.receive_text(), "from the stream");
  client.send("overwrite");
  EXPECT_EQ(client.receive_text(), "overwrite");
  const std::lock_guard lock(mutex);
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0], "the first");
  EXPECT_EQ(kept[1], "overwrite");
}

TEST_P(UdpBlockedTest, AnAnswerThatFailsIsLostAndNoOther) {
  Events handlers = events();
  handlers.data = echo;
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  for (const int err : {EPERM, ENETUNREACH, ECONNREFUSED, ENOBUFS}) {
    fail_with = err;
    client.send("lost");
    EXPECT_TRUE(eventually([] { return fail_with.load() == 0; }));
    client.send("answered");
    EXPECT_EQ(client.receive_text(), "answered");
  }
}

TEST_P(UdpBlockedTest, ShutdownWaitsForAnswersAsLongAsItMay) {
  Counter heard;
  Events handlers = events();
  handlers.drain_timeout = kPatience;
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    heard.add();
    return echo(conn, in, out);
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  full_for = kForever;
  client.send("last");
  EXPECT_TRUE(heard.wait_for(1));
  EXPECT_TRUE(eventually([] { return refused.load() > 0; }));
  server.shutdown();
  EXPECT_TRUE(client.is_quiet());
  EXPECT_FALSE(server.returned());
  full_for = 0;
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(client.receive_text(), "last");
}

TEST_P(UdpBlockedTest, ShutdownGivesUpAfterTheDrainTimeout) {
  for (const auto timeout : {std::chrono::milliseconds(-1), std::chrono::milliseconds(0), kQuietTime}) {
    Events handlers = events();
    handlers.drain_timeout = timeout;
    handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
      echo(conn, in, out);
      return Action::Shutdown;
    };
    TestServer server(handlers, address());
    DatagramClient client = connect(server);
    full_for = kForever;
    client.send("lost");
    EXPECT_FALSE(server.wait());
    full_for = 0;
    EXPECT_TRUE(client.is_quiet());
  }
}

}  // namespace
}  // namespace evio::test
