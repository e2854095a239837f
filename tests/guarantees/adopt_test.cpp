// Guarantee 24: a connected socket that a program has, or has detached, joins a server.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/dial_fixture.hpp"

namespace evio::test {
namespace {

class AdoptTest : public ModeTest {};
EVIO_INSTANTIATE(AdoptTest, with_tls(all_modes()));

// No connection is detached that is encrypted.
class AdoptDetachedTest : public ModeTest {};
EVIO_INSTANTIATE(AdoptDetachedTest, all_modes());

struct Pair {
  Pair() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    mine = Client(UniqueFd(fds[0]));
    theirs = fds[1];
  }
  Client mine;
  int theirs = -1;
};

// As the plain socket that it is, whatever the server's address is of.
TEST_P(AdoptTest, IsOpenedAndServed) {
  Gate opened;
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output& out, Options& options) {
    EXPECT_EQ(conn.addr_index(), -1);
    EXPECT_FALSE(conn.dialed());
    EXPECT_EQ(conn.tls(), nullptr);
    EXPECT_FALSE(options.read_while_pending);
    EXPECT_NE(conn.context<int>(), nullptr);
    out = "hi ";
    opened.open();
    return Action::None;
  };
  handlers.data = echo;
  TestServer server(handlers, address());
  Pair pair;
  const int last = loops() - 1;
  const Conn conn = server.handle().adopt(DetachedConn(pair.theirs), 7, last);
  EXPECT_EQ(conn.loop_index(), last);
  EXPECT_TRUE(conn.send("there"));
  EXPECT_EQ(pair.mine.receive(8), "hi there");
  ASSERT_TRUE(pair.mine.send_all("echo"));
  EXPECT_EQ(pair.mine.receive(4), "echo");
  EXPECT_EQ(server.handle().stats().connections, 1u);
  EXPECT_EQ(::fcntl(pair.theirs, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  EXPECT_EQ(::fcntl(pair.theirs, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  EXPECT_TRUE(conn.close());
  EXPECT_EQ(pair.mine.receive_all(), "");
}

// The way back from Detach.
TEST_P(AdoptDetachedTest, TakesBackWhatWasDetached) {
  Events handlers = events();
  handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
    if (in == "leave") return Action::Detach;
    out = conn.addr_index() == -1 ? "adopted" : "accepted";
    return Action::None;
  };
  handlers.detached = [](Conn& conn, DetachedConn rwc) {
    EXPECT_NE(conn.server().adopt(std::move(rwc)).id(), 0u);
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(client.send_all("x"));
  EXPECT_EQ(client.receive(8), "accepted");
  ASSERT_TRUE(client.send_all("leave"));
  ASSERT_TRUE(eventually([&] { return server.handle().stats().accepted == 2; }));
  ASSERT_TRUE(client.send_all("x"));
  EXPECT_EQ(client.receive(7), "adopted");
}

// As of a socket that was accepted, and so is TCP_NODELAY (17).
TEST_P(AdoptTest, UrgentDataComesInItsPlace) {
  Events handlers = events();
  handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
    int no_delay = 0;
    socklen_t size = sizeof(no_delay);
    EXPECT_EQ(::getsockopt(conn.native_handle(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
    EXPECT_EQ(no_delay, 1);
    return echo(conn, in, out);
  };
  TestServer server(handlers, address());
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::listen(listener.get(), 1), 0);  // at a port that the kernel chooses (ip(7))
  sockaddr_in at{};
  socklen_t size = sizeof(at);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
  Client client(UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  ASSERT_EQ(::connect(client.fd(), reinterpret_cast<sockaddr*>(&at), size), 0);
  server.handle().adopt(DetachedConn(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)));
  ASSERT_EQ(::send(client.fd(), "ab", 2, MSG_OOB), 2);
  EXPECT_EQ(client.receive(2), "ab");
}

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

TEST_P(AdoptTest, WhatIsNoneIsClosed) {
  Events handlers = events();
  TestServer server(handlers, address());
  const Server& handle = server.handle();
  const int unconnected = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(handle.adopt(DetachedConn(unconnected)).id(), 0u);
  EXPECT_FALSE(is_open(unconnected));
  const int datagrams = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(handle.adopt(DetachedConn(datagrams)).id(), 0u);
  EXPECT_FALSE(is_open(datagrams));
  EXPECT_EQ(handle.adopt(DetachedConn()).id(), 0u);
  for (const int loop : {-2, loops()}) {
    const Pair pair;
    EXPECT_EQ(handle.adopt(DetachedConn(pair.theirs), loop).id(), 0u);
    EXPECT_FALSE(is_open(pair.theirs));
  }
  server.shutdown();
  EXPECT_FALSE(server.wait());
  const Pair pair;
  EXPECT_EQ(handle.adopt(DetachedConn(pair.theirs)).id(), 0u);
  EXPECT_FALSE(is_open(pair.theirs));
}

TEST_P(AdoptTest, CountsForTheBalancerFromTheCallOn) {
  Events handlers = events();
  handlers.load_balance = LoadBalance::LeastConnections;
  std::vector<Pair> pairs(static_cast<std::size_t>(loops()));
  std::vector<int> chosen;
  handlers.serving = [&](const Server& server) {
    for (const Pair& pair : pairs) chosen.push_back(server.adopt(DetachedConn(pair.theirs)).loop_index());
    return Action::None;
  };
  TestServer server(handlers, address());
  std::ranges::sort(chosen);
  for (int i = 0; i != loops(); ++i) EXPECT_EQ(chosen[static_cast<std::size_t>(i)], i);
}

TEST_P(AdoptTest, DuringAShutdownItIsClosed) {
  const Pair pair;
  Events handlers = events();
  Counter opened;
  handlers.opened = [&](Conn&, Output&, Options&) {
    opened.add();
    return Action::None;
  };
  handlers.closed = [&](Conn& conn, const Error&) {
    EXPECT_EQ(conn.server().adopt(DetachedConn(pair.theirs)).id(), 0u);
    EXPECT_FALSE(is_open(pair.theirs));
    return Action::None;
  };
  TestServer server(handlers, address());
  const Client client = server.connect();
  ASSERT_TRUE(opened.wait_for(1));
  server.shutdown();
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(opened.value(), 1u);
}

TEST_P(AdoptTest, CloseAndAbortBeforeItIsOpened) {
  EventLog log;
  Events handlers = events();
  handlers.opened = [&](Conn&, Output&, Options&) {
    log.add("opened");
    return Action::None;
  };
  handlers.closed = [&](Conn&, const Error& err) {
    log.add(err ? err.code().message() : "closed");
    return Action::None;
  };
  Pair closed;
  Pair aborted;
  handlers.serving = [&](const Server& server) {
    const Conn first = server.adopt(DetachedConn(closed.theirs));
    EXPECT_TRUE(first.send("last words"));
    EXPECT_TRUE(first.close());
    EXPECT_TRUE(server.adopt(DetachedConn(aborted.theirs)).abort());
    return Action::None;
  };
  TestServer server(handlers, address());
  EXPECT_EQ(closed.mine.receive_all(), "last words");
  EXPECT_EQ(aborted.mine.receive_all(), "");
  ASSERT_TRUE(log.wait_for("closed"));
  ASSERT_TRUE(log.wait_for("Operation canceled"));
  EXPECT_EQ(log.count("opened"), 2u);
}

}  // namespace
}  // namespace evio::test
