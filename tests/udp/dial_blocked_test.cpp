// Guarantee 23 of udp where the kernel takes no datagram for a while, which loopback never does by itself: sendmsg(2)
// is made to say so.
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <string>

#include "tests/support/datagram_peer.hpp"
#include "tests/support/dial_fixture.hpp"

namespace {

// How many of the next calls fail, and with what. Written by the test and the loops alike.
std::atomic<int> failing{0};
std::atomic<int> fail_with{EAGAIN};

bool fails() {
  int left = failing.load();
  while (left > 0 && !failing.compare_exchange_weak(left, left - 1)) {
  }
  return left > 0;
}

}  // namespace

extern "C" {
ssize_t __real_sendmsg(int fd, const msghdr* message, int flags);
ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {
  if (!fails()) return __real_sendmsg(fd, message, flags);
  errno = fail_with;
  return -1;
}
}

namespace evio::test {
namespace {

constexpr int kForever = 1 << 30;

class UdpDialBlockedTest : public DialTest {
 protected:
  void SetUp() override {
    DialTest::SetUp();
    failing = 0;
    fail_with = EAGAIN;
    peer_ = std::make_unique<DatagramPeer>();
  }
  void TearDown() override {
    peer_.reset();
    DialTest::TearDown();
  }
  Conn dial() {
    const Conn conn = server().dial(peer_->address());
    EXPECT_TRUE(log_.wait_for("opened", ++dialed_));
    return conn;
  }
  /// What the loop has been asked to do by now is done.
  void settle(const Conn& conn) {
    Gate done;
    EXPECT_TRUE(conn.post([&](Conn&, Output&) {
      done.open();
      return Action::None;
    }));
    EXPECT_TRUE(done.wait());
  }

  std::unique_ptr<DatagramPeer> peer_;
  std::size_t dialed_ = 0;
};
EVIO_INSTANTIATE(UdpDialBlockedTest, all_modes());

// Some are empty, and some so long that they are shared; together they fit into the peer's buffer.
std::string text_of(int i) {
  return i % 7 == 0 ? std::string() : std::to_string(i) + std::string(i % 50 == 1 ? 20'000 : 10, 'x');
}

TEST_P(UdpDialBlockedTest, TheyWaitInOrderEachAlone) {
  serve();
  const Conn conn = dial();
  failing = 10;
  for (int i = 0; i != 100; ++i) EXPECT_TRUE(i % 2 == 0 ? conn.send(text_of(i)) : conn.send(Bytes(text_of(i))));
  EXPECT_TRUE(conn.post([](Conn& self, Output& out) {
    EXPECT_TRUE(self.send("sent"));
    out.append("<").append(Bytes(std::string(20'000, 'y'))).append(">");
    return Action::None;
  }));
  for (int i = 0; i != 100; ++i) ASSERT_EQ(peer_->receive(), text_of(i)) << i;
  EXPECT_EQ(peer_->receive(), "sent");
  EXPECT_EQ(peer_->receive(), "<" + std::string(20'000, 'y') + ">");
  EXPECT_TRUE(eventually([&] { return conn.pending() == 0 && server().stats().pending == 0; }));
  EXPECT_EQ(server().stats().datagrams_written, 102u);
  EXPECT_EQ(server().stats().datagrams_failed, 0u);
}

TEST_P(UdpDialBlockedTest, WhatWaitsIsPendingAndInputIsReadMeanwhile) {
  serve();
  const Conn conn = dial();
  EXPECT_TRUE(conn.send("hello"));
  EXPECT_EQ(peer_->receive(), "hello");
  failing = kForever;
  EXPECT_TRUE(conn.send("12345"));
  EXPECT_TRUE(conn.send("678"));
  settle(conn);
  EXPECT_EQ(conn.pending(), 8u);
  EXPECT_EQ(server().stats().pending, 8u);
  peer_->send("heard");
  EXPECT_EQ(heard(5), "heard");
  failing = 0;
  EXPECT_EQ(peer_->receive(), "12345");
  EXPECT_EQ(peer_->receive(), "678");
}

TEST_P(UdpDialBlockedTest, ACloseWaitsForThemAndAnAbortDoesNot) {
  serve();
  Conn conn = dial();
  failing = kForever;
  EXPECT_TRUE(conn.send("last"));
  EXPECT_TRUE(conn.close());
  EXPECT_TRUE(eventually([&] { return failing < kForever - 3; }));
  EXPECT_EQ(log_.count("closed"), 0u);
  failing = 0;
  EXPECT_EQ(peer_->receive(), "last");
  ASSERT_TRUE(log_.wait_for("closed"));
  conn = dial();
  failing = kForever;
  EXPECT_TRUE(conn.send("dropped"));
  EXPECT_TRUE(eventually([&] { return failing < kForever; }));
  EXPECT_TRUE(conn.abort());
  ASSERT_TRUE(log_.wait_for("closed: aborted"));
  failing = 0;
  EXPECT_EQ(server().stats().pending, 0u);
  EXPECT_TRUE(peer_->is_quiet());
}

TEST_P(UdpDialBlockedTest, WhatTheKernelHasNoRoomForIsLostAlone) {
  serve();
  const Conn conn = dial();
  fail_with = ENOBUFS;
  failing = 1;
  EXPECT_TRUE(conn.send("lost"));
  EXPECT_TRUE(conn.send("next"));
  EXPECT_EQ(peer_->receive(), "next");
  EXPECT_EQ(server().stats().datagrams_failed, 1u);
}

// The error may come with any of them; it has one end.
TEST_P(UdpDialBlockedTest, AFailureEndsItWhateverWaits) {
  for (int n = 0; n != 4; ++n) {
    serve();
    const Conn conn = dial();
    failing = n;
    EXPECT_TRUE(conn.send("1"));
    EXPECT_TRUE(conn.send(""));
    EXPECT_TRUE(conn.post([](Conn& self, Output& out) {
      fail_with = ECONNREFUSED;
      failing = kForever;
      EXPECT_TRUE(self.send("2"));
      out = "3";
      return Action::None;
    }));
    conn.send("4");  // unless it has ended by then
    const std::string why = "closed: write udp " + conn.local_addr().to_string() + "->" + peer_->name();
    ASSERT_TRUE(log_.wait_for(why + ": Connection refused")) << testing::PrintToString(log_.all());
    EXPECT_EQ(server().stats().pending, 0u);
    failing = 0;
    fail_with = EAGAIN;
    server_.reset();
  }
}

}  // namespace
}  // namespace evio::test
