// Guarantee 23 of udp: a connected datagram socket with the life of a connection.
#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/datagram_peer.hpp"
#include "tests/support/dial_fixture.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

/// Collects the datagrams that a dialed connection receives, in order, one entry each.
class UdpDialTest : public DialTest {
 protected:
  void SetUp() override {
    DialTest::SetUp();
    peer_ = std::make_unique<DatagramPeer>();
  }
  void TearDown() override {
    peer_.reset();
    DialTest::TearDown();
  }
  Events handlers() {
    Events handlers = DialTest::handlers();
    handlers.data = [this](Conn&, const Bytes& in, Output&) {
      const std::lock_guard lock(mutex_);
      got_.emplace_back(in.view());
      log_.add("data");
      return Action::None;
    };
    return handlers;
  }
  void serve() { DialTest::serve(handlers()); }
  std::vector<std::string> got() {
    const std::lock_guard lock(mutex_);
    return got_;
  }
  /// Dials the peer, which then has heard of the connection.
  Conn dial_and_greet(Dial how = {}) {
    const Conn conn = server().dial(peer_->address(), std::move(how));
    EXPECT_TRUE(conn.send("hello"));
    EXPECT_EQ(peer_->receive(), "hello");
    return conn;
  }

  std::unique_ptr<DatagramPeer> peer_;
  std::vector<std::string> got_;
};
EVIO_INSTANTIATE(UdpDialTest, all_modes());

TEST_P(UdpDialTest, IsOpenedAndLivesAsAnyConnection) {
  opened_ = [](Conn& conn, Output& out, Options&) {
    int type = 0;
    socklen_t size = sizeof(type);
    EXPECT_EQ(::getsockopt(conn.native_handle(), SOL_SOCKET, SO_TYPE, &type, &size), 0);
    EXPECT_EQ(type, SOCK_DGRAM);
    EXPECT_TRUE(conn.dialed());
    EXPECT_EQ(conn.addr_index(), -1);
    out = *conn.context<std::string>();
    return Action::None;
  };
  serve();
  for (const std::string scheme : {"udp", "udp4", "udp6"}) {
    SCOPED_TRACE(scheme);
    DatagramPeer peer(scheme == "udp6");
    const Conn conn = server().dial(peer.address(scheme), "context of " + scheme);
    EXPECT_GE(conn.loop_index(), 0);
    EXPECT_EQ(peer.receive(), "context of " + scheme);
    EXPECT_EQ(conn.remote_addr().to_string(), peer.name());
    EXPECT_EQ(conn.remote_addr().network(), "udp");
    EXPECT_EQ(conn.local_addr().port(), peer.from_port());
    const std::size_t n = log_.count("data");
    peer.send("answer");
    ASSERT_TRUE(log_.wait_for("data", n + 1));
    EXPECT_EQ(got().back(), "answer");
    EXPECT_TRUE(conn.close());
    ASSERT_TRUE(log_.wait_for("closed", n + 1));
    EXPECT_FALSE(conn.send("x"));
  }
  EXPECT_EQ(log_.count("unreachable"), 0u);
}

TEST_P(UdpDialTest, EachDatagramIsOneDataAndEmptyOnesAreToo) {
  serve();
  dial_and_greet();
  std::vector<std::string> sent;
  for (int i = 0; i != 50; ++i) sent.insert(sent.end(), {std::to_string(i), "", std::string(1400, 'x')});
  for (const std::string& text : sent) peer_->send(text);
  sent.push_back(std::string(65'507, 'y'));
  ASSERT_TRUE(log_.wait_for("data", sent.size() - 1));
  peer_->send(sent.back());
  ASSERT_TRUE(log_.wait_for("data", sent.size()));
  EXPECT_EQ(got(), sent);
}

TEST_P(UdpDialTest, OutIsOneDatagramAndEachSendAnother) {
  Events handlers = this->handlers();
  handlers.data = [this](Conn& conn, const Bytes& in, Output& out) {
    EXPECT_TRUE(conn.send("a"));
    EXPECT_TRUE(conn.send(""));
    EXPECT_TRUE(conn.send(Bytes(std::string(20'000, 'b'))));
    EXPECT_TRUE(conn.send("c"));
    out.append("<").append(Bytes(std::string(20'000, 'd'))).append(in).append(">");
    log_.add("data");
    return Action::None;
  };
  DialTest::serve(handlers);
  dial_and_greet();
  peer_->send("?");
  for (const std::string& expected : {std::string("a"), std::string(), std::string(20'000, 'b'), std::string("c"),
                                      "<" + std::string(20'000, 'd') + "?>"})
    EXPECT_EQ(peer_->receive(), expected);
  EXPECT_TRUE(peer_->is_quiet()) << "an empty out is no datagram";
}

TEST_P(UdpDialTest, SendsOfAnyThreadKeepTheirOrderAndLimits) {
  serve();
  const Conn conn = dial_and_greet();
  for (int round = 0; round != 20; ++round) {
    for (int i = 0; i != 20; ++i) EXPECT_TRUE(conn.send(std::to_string(i)));
    for (int i = 0; i != 20; ++i) ASSERT_EQ(peer_->receive(), std::to_string(i));
  }
}

// Several callbacks of the loop send to it: nothing joins what they have sent.
TEST_P(UdpDialTest, SendsOfOtherCallbacksAreDatagramsOfTheirOwn) {
  serve();
  const Conn conn = dial_and_greet();
  ASSERT_TRUE(server().post(conn.loop_index(), [conn] {
    for (const char* text : {"1", "2", "3"}) EXPECT_TRUE(conn.send(text));
    EXPECT_TRUE(conn.post([](Conn& self, Output& out) {
      EXPECT_TRUE(self.send("5"));
      out = "6";
      return Action::None;
    }));
    EXPECT_TRUE(conn.send("7"));
    return Action::None;
  }));
  for (const std::string expected : {"1", "2", "3", "7", "5", "6"}) EXPECT_EQ(peer_->receive(), expected);
}

TEST_P(UdpDialTest, WhatIsAskedBeforeItIsOpenedFollowsWhatOpenedAdds) {
  opened_ = [](Conn& conn, Output& out, Options&) {
    EXPECT_TRUE(conn.send("1"));
    EXPECT_TRUE(conn.send("2"));
    out = "3";
    return Action::None;
  };
  Events handlers = this->handlers();
  handlers.serving = [this](const Server& server) {
    const Conn conn = server.dial(peer_->address());
    EXPECT_TRUE(conn.send("4"));
    EXPECT_TRUE(conn.send(""));
    EXPECT_TRUE(conn.post([](Conn&, Output& out) {
      out = "5";
      return Action::None;
    }));
    EXPECT_TRUE(conn.send("6"));
    return Action::None;
  };
  DialTest::serve(handlers);
  for (const std::string expected : {"1", "2", "3", "4", "", "5", "6"}) EXPECT_EQ(peer_->receive(), expected);
}

TEST_P(UdpDialTest, HearsItsPeerAlone) {
  serve();
  const Conn conn = dial_and_greet();
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(static_cast<std::uint16_t>(conn.local_addr().port()));
  const UniqueFd other(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::sendto(other.get(), "stranger", 8, 0, reinterpret_cast<sockaddr*>(&at), sizeof(at)), 8);
  peer_->send("friend");
  ASSERT_TRUE(log_.wait_for("data"));
  EXPECT_EQ(got(), std::vector<std::string>{"friend"});
}

// Port unreachable: a read reports it, or the next send. What arrived before it is still delivered.
TEST_P(UdpDialTest, AnIcmpErrorClosesIt) {
  for (const std::size_t sends : {1U, 2U}) {
    Gate held;
    Gate entered;
    serve();
    const OpensAtEnd opens(held);
    peer_ = std::make_unique<DatagramPeer>();
    const Conn conn = dial_and_greet();
    ASSERT_TRUE(conn.post([&](Conn&, Output&) {
      entered.open();
      EXPECT_TRUE(held.wait());
      return Action::None;
    }));
    ASSERT_TRUE(entered.wait());
    peer_->send("last");
    peer_->send("");
    peer_->close();
    for (std::size_t i = 0; i != sends; ++i) EXPECT_TRUE(conn.send("nobody hears this"));
    held.open();
    const std::string why = sends == 1 ? "closed: read" : "closed: write";
    EXPECT_TRUE(
        log_.wait_for(why + " udp " + conn.local_addr().to_string() + "->" + peer_->name() + ": Connection refused"))
        << testing::PrintToString(log_.all());
    EXPECT_EQ(got(), (std::vector<std::string>{"last", ""}));
    EXPECT_FALSE(conn.send("x"));
    EXPECT_EQ(server().stats().connections, 0u);
    server_.reset();
    got_.clear();
  }
}

// It waits for nobody: the port is anyone's as soon as `closed` has returned.
TEST_P(UdpDialTest, ItsSocketGoesWithIt) {
  serve();
  const Conn conn = dial_and_greet();
  EXPECT_TRUE(conn.close());
  ASSERT_TRUE(log_.wait_for("closed"));
  Gate next_turn;
  ASSERT_TRUE(server().post(conn.loop_index(), [&] {
    next_turn.open();
    return Action::None;
  }));
  ASSERT_TRUE(next_turn.wait());
  for (const auto& [fd, name] : baseline().new_descriptors()) {
    int type = 0;
    socklen_t size = sizeof(type);
    if (fd != peer_->fd() && ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0) {
      EXPECT_NE(type, SOCK_DGRAM) << name;
    }
  }
}

TEST_P(UdpDialTest, AnIcmpErrorClosesAPausedOneToo) {
  serve();
  const Conn conn = dial_and_greet();
  EXPECT_TRUE(conn.pause());
  peer_->close();
  EXPECT_TRUE(conn.send("nobody hears this"));
  ASSERT_TRUE(eventually([&] { return log_.all().back().ends_with("Connection refused"); }));
}

TEST_P(UdpDialTest, FlowOptionsMeanNothing) {
  opened_ = [](Conn&, Output&, Options& options) {
    EXPECT_TRUE(options.read_while_pending);
    options.max_pending = 1;
    options.high_water = 1;
    options.half_open = true;
    options.read_while_pending = false;
    return Action::None;
  };
  Events handlers = this->handlers();
  handlers.congested = [this](Conn&) {
    log_.add("congested");
    return Action::None;
  };
  DialTest::serve(handlers);
  const Conn conn = dial_and_greet();
  EXPECT_TRUE(conn.send(std::string(1000, 'x')));
  EXPECT_EQ(peer_->receive(), std::string(1000, 'x'));
  EXPECT_EQ(log_.count("congested"), 0u);
}

TEST_P(UdpDialTest, DetachIsClose) {
  Events handlers = this->handlers();
  handlers.data = [](Conn&, const Bytes&, Output& out) {
    out = "last";
    return Action::Detach;
  };
  handlers.detached = [this](Conn&, DetachedConn) {
    log_.add("detached");
    return Action::None;
  };
  DialTest::serve(handlers);
  dial_and_greet();
  peer_->send("?");
  EXPECT_EQ(peer_->receive(), "last");
  ASSERT_TRUE(log_.wait_for("closed"));
  EXPECT_EQ(log_.count("detached"), 0u);
}

TEST_P(UdpDialTest, WhatIsTooLongIsLostAlone) {
  Events handlers = this->handlers();
  std::string told;
  handlers.notice = [&](Notice what, const Error& err) {
    EXPECT_EQ(what, Notice::DatagramFailed);
    EXPECT_EQ(err.code(), std::errc::message_size);
    const std::lock_guard lock(mutex_);
    if (told.empty()) told = err.message();
    log_.add("notice");
  };
  opened_ = [](Conn& conn, Output& out, Options&) {
    EXPECT_FALSE(conn.send(std::string(65'528, 'x')));
    EXPECT_FALSE(conn.send(Bytes(std::string(65'528, 'x'))));
    EXPECT_TRUE(conn.send(std::string(65'510, 'x')));  // over IPv6 it would not be
    out = std::string(65'528, 'x');
    return Action::None;
  };
  DialTest::serve(handlers);
  const Conn conn = server().dial(peer_->address());
  EXPECT_TRUE(conn.send("short"));
  EXPECT_EQ(peer_->receive(), "short");
  ASSERT_TRUE(log_.wait_for("notice"));
  EXPECT_EQ(server().stats().datagrams_failed, 4u);
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(told, "sendmsg udp " + conn.local_addr().to_string() + "->" + peer_->name() + ": Message too long");
}

TEST_P(UdpDialTest, IsCountedAsAConnectionAndItsDatagramsAsDatagrams) {
  serve();
  const Conn conn = dial_and_greet();
  peer_->send("1");
  peer_->send("");
  ASSERT_TRUE(log_.wait_for("data", 2));
  Stats stats = server().stats();
  EXPECT_EQ(stats.dialed, 1u);
  EXPECT_EQ(stats.connections, 1u);
  EXPECT_EQ(stats.datagrams_read, 2u);
  EXPECT_EQ(stats.datagrams_written, 1u);
  EXPECT_EQ(stats.datagrams_failed, 0u);
  EXPECT_EQ(stats.bytes_read + stats.bytes_written + stats.reads + stats.writes, 0u);
  EXPECT_TRUE(conn.close());
  ASSERT_TRUE(log_.wait_for("closed"));
  stats = server().stats();
  EXPECT_EQ(stats.closed, 1u);
  EXPECT_EQ(stats.connections, 0u);
}

TEST_P(UdpDialTest, AllThatWasSentLeavesBeforeACloseAndNothingAfterAnAbort) {
  serve();
  Conn conn = dial_and_greet();
  for (int i = 0; i != 20; ++i) EXPECT_TRUE(conn.send(std::to_string(i)));
  EXPECT_TRUE(conn.close());
  for (int i = 0; i != 20; ++i) EXPECT_EQ(peer_->receive(), std::to_string(i));
  ASSERT_TRUE(log_.wait_for("closed"));
  conn = dial_and_greet();
  ASSERT_TRUE(conn.post([](Conn& self, Output& out) {
    EXPECT_TRUE(self.send("dropped"));
    EXPECT_TRUE(self.abort());
    out = "dropped";
    return Action::None;
  }));
  ASSERT_TRUE(log_.wait_for("closed: aborted"));
  EXPECT_TRUE(peer_->is_quiet());
  EXPECT_EQ(server().stats().aborted, 1u);
}

TEST_P(UdpDialTest, AWakeIsADataCallAndAPauseKeepsDatagrams) {
  serve();
  const Conn conn = dial_and_greet();
  EXPECT_TRUE(conn.wake());
  ASSERT_TRUE(log_.wait_for("data"));
  EXPECT_TRUE(conn.pause());
  peer_->send("1");
  peer_->send("2");
  EXPECT_TRUE(conn.send("?"));
  EXPECT_EQ(peer_->receive(), "?");
  EXPECT_TRUE(all_sleep());
  EXPECT_EQ(got(), std::vector<std::string>{""});
  EXPECT_TRUE(conn.resume());
  ASSERT_TRUE(log_.wait_for("data", 3));
  EXPECT_EQ(got(), (std::vector<std::string>{"", "1", "2"}));
}

TEST_P(UdpDialTest, HasTimeouts) {
  Events handlers = this->handlers();
  handlers.timeout = [](Conn&, Timeout what, Output& out) {
    out = what == Timeout::Idle ? "idle" : "deadline";
    return what == Timeout::Idle ? Action::None : Action::Close;
  };
  opened_ = [](Conn&, Output&, Options& options) {
    options.idle_timeout = 20ms;
    return Action::None;
  };
  DialTest::serve(handlers);
  const Conn conn = dial_and_greet();
  EXPECT_EQ(peer_->receive(), "idle");
  EXPECT_EQ(peer_->receive(), "idle");
  EXPECT_TRUE(conn.expires_after(1us));
  while (peer_->receive() != "deadline") {
  }
  ASSERT_TRUE(log_.wait_for("closed"));
}

TEST_P(UdpDialTest, AnExceptionClosesItWithItsMessage) {
  Events handlers = this->handlers();
  handlers.data = [](Conn& conn, const Bytes&, Output& out) -> Action {
    EXPECT_TRUE(conn.send("sent"));
    out = "dropped";
    throw std::runtime_error("no");
  };
  DialTest::serve(handlers);
  dial_and_greet();
  peer_->send("?");
  EXPECT_EQ(peer_->receive(), "sent");
  ASSERT_TRUE(log_.wait_for("closed: no"));
  EXPECT_TRUE(peer_->is_quiet());
}

TEST_P(UdpDialTest, AShutdownClosesItOnceWhatWasSentHasLeft) {
  serve();
  const Conn conn = dial_and_greet();
  ASSERT_TRUE(server().post(conn.loop_index(), [conn] {
    EXPECT_TRUE(conn.send("last"));
    return Action::Shutdown;
  }));
  EXPECT_FALSE(server_->wait());
  EXPECT_EQ(peer_->receive(), "last");
  EXPECT_EQ(log_.count("closed"), 1u);
}

TEST_P(UdpDialTest, IsUnreachableWhereItCannotBe) {
  serve();
  std::size_t n = 0;
  const auto fails = [&](const std::string& addr, Dial how = {}) {
    server().dial(addr, std::move(how));
    EXPECT_TRUE(log_.wait_for("unreachable", ++n));
    return unreachable();
  };
  EXPECT_EQ(fails("udp4://[::1]:1").code(), std::errc::invalid_argument);
  EXPECT_EQ(fails("udp://127.0.0.1:0").code(), std::errc::invalid_argument);
  EXPECT_EQ(fails("udp-net://127.0.0.1:1").code(), std::errc::invalid_argument);
  EXPECT_EQ(fails("udp://127.0.0.1:1?reuseport=1").code(), std::errc::invalid_argument);
  EXPECT_EQ(fails(peer_->address(), {.local = "::1"}).code(), std::errc::invalid_argument);
  EXPECT_EQ(fails(peer_->address(), {.loop = loops()}).code(), std::errc::invalid_argument);
  const Error err = fails("udp://255.255.255.255:1");
  EXPECT_EQ(err.message(), "dial udp://255.255.255.255:1: connect: Permission denied");
  EXPECT_EQ(log_.count("opened"), 0u);
}

TEST_P(UdpDialTest, ComesFromTheLocalAddress) {
  serve();
  Conn conn = dial_and_greet({.local = "127.0.0.2"});
  EXPECT_EQ(conn.local_addr().ip(), "127.0.0.2");
  DatagramPeer lent;
  const int port = lent.port();
  lent.close();
  conn = dial_and_greet({.local = "127.0.0.3:" + std::to_string(port)});
  EXPECT_EQ(peer_->from_port(), port);
}

TEST_P(UdpDialTest, CloseAndAbortRightAfterTheCall) {
  serve();
  ASSERT_TRUE(server().post(0, [&, server = server()] {
    EXPECT_TRUE(server.dial(peer_->address()).close());
    EXPECT_TRUE(server.dial(peer_->address()).abort());
    return Action::None;
  }));
  ASSERT_TRUE(log_.wait_for("unreachable", 2));
  EXPECT_EQ(log_.all(), (EventLog::List{"unreachable", "unreachable"}));
  for (const Error& err : errors_) EXPECT_EQ(err.code(), std::errc::operation_canceled);
}

}  // namespace
}  // namespace evio::test
