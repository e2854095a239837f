// Guarantee 23: a dial that does not come to be a connection: why, and that nothing is lost or left by it.
#include <chrono>
#include <map>
#include <set>
#include <stdexcept>
#include <string>

#include "tests/support/dial_fixture.hpp"
#include "tests/support/laden_dial.hpp"
#include "tests/support/silent_port.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

class DialEndsTest : public DialTest {};
EVIO_INSTANTIATE(DialEndsTest, with_tls(all_modes()));

TEST_P(DialEndsTest, NamesTheCallAndTheAddress) {
  serve();
  const ClosedPort closed;
  server().dial(dial_address(closed.port()), dial_how());
  Error err = unreachable();
  EXPECT_EQ(err.code(), std::errc::connection_refused);
  EXPECT_EQ(err.message(), "dial " + dial_address(closed.port()) + ": connect: Connection refused");
  const std::string nowhere = "unix://" + path("nowhere");
  server().dial(nowhere);
  ASSERT_TRUE(log_.wait_for("unreachable", 2));
  err = unreachable();
  EXPECT_EQ(err.code(), std::errc::no_such_file_or_directory);
  EXPECT_EQ(err.message(), "dial " + nowhere + ": connect: No such file or directory");
  EXPECT_EQ(log_.all(), (EventLog::List{"unreachable", "unreachable"}));
}

TEST_P(DialEndsTest, NobodyIsToldWithinTheCall) {
  serve();
  ASSERT_TRUE(server().post(0, [&] {
    server().dial("no address");
    EXPECT_EQ(log_.count("unreachable"), 0u);
    return Action::None;
  }));
  EXPECT_TRUE(log_.wait_for("unreachable"));
}

TEST_P(DialEndsTest, WhatCannotBeUsedIsAnInvalidArgument) {
  serve();
  struct Case {
    std::string addr;
    Dial how;
    std::string words;
  };
  const std::string own = own_address();
  std::size_t n = 0;
  for (const Case& bad : {
           Case{"tpc://127.0.0.1:1", {}, "unknown scheme \"tpc\""},
           Case{"", {}, "the address is empty"},
           Case{"tcp://127.0.0.1", {}, "missing port"},
           Case{"tcp://127.0.0.1:0", {}, "a port from 1 to 65535 is needed"},
           Case{"tcp://127.0.0.1:x", {}, "bad port \"x\""},
           Case{"tcp://127.0.0.1:1?reuseport=true", {}, "has no options"},
           Case{"tcp-net://127.0.0.1:1", {}, "-net"},
           Case{"tls-net://127.0.0.1:1", {}, "-net"},
           Case{"tls://127.0.0.1:1", {}, "Dial::tls refers to no context"},
           Case{"tcp4://[::1]:1", {}, "no address of that family"},
           Case{"unix://", {}, "missing path"},
           Case{"unix:///x", {.local = "127.0.0.1"}, "bad local address \"127.0.0.1\""},
           Case{"unix://" + std::string(200, 'x'), {}, "longer than the 107 bytes"},
           Case{"tcp://127.0.0.1:1", {.local = "[::1]"}, "family of the local address"},
           Case{"tcp://127.0.0.1:1", {.local = "[]"}, "bad local address \"[]\""},
           Case{"tcp://127.0.0.1:1", {.local = "["}, "bad local address \"[\""},
           Case{"tcp://127.0.0.1:1", {.local = "here"}, "bad local address \"here\""},
           Case{"tcp://127.0.0.1:1", {.local = "::1"}, "family of the local address"},
           Case{own, dial_how({.loop = loops()}), "there is no loop " + std::to_string(loops())},
           Case{own, dial_how({.loop = -2}), "there is no loop -2"},
       }) {
    SCOPED_TRACE(bad.addr + " " + bad.words);
    const Conn conn = server().dial(bad.addr, bad.how);
    EXPECT_NE(conn.id(), 0u);
    ASSERT_TRUE(log_.wait_for("unreachable", ++n));
    const Error err = unreachable();
    EXPECT_EQ(err.code(), std::errc::invalid_argument);
    EXPECT_NE(err.message().find(bad.words), std::string::npos) << err.message();
    EXPECT_EQ(err.message().find("dial "), 0u) << err.message();
  }
  EXPECT_EQ(log_.count("opened"), 0u);
}

// What was sent and posted is dropped, and the context is destroyed.
TEST_P(DialEndsTest, CloseAndAbortWhileItIsConnecting) {
  serve();
  const SilentPort silent;
  std::size_t n = 0;
  for (const bool aborts : {false, true}) {
    LadenDial dial(server(), dial_address(silent.port()), dial_how());
    EXPECT_TRUE(eventually([&] { return dial.conn().remote_addr().port() == silent.port(); })) << "where it is tried";
    EXPECT_EQ(dial.conn().pending(), 1u);
    aborts ? dial.abort() : dial.close();
    ASSERT_TRUE(log_.wait_for("unreachable", ++n));
    const Error err = unreachable();
    EXPECT_EQ(err.code(), std::errc::operation_canceled);
    EXPECT_EQ(err.message(), "dial " + dial_address(silent.port()) + ": Operation canceled");
    dial.expect_nothing_left();
    EXPECT_EQ(dial.conn().remote_addr().port(), silent.port());
  }
  EXPECT_EQ(log_.all(), (EventLog::List{"unreachable", "unreachable"}));
}

TEST_P(DialEndsTest, CloseRightAfterTheCall) {
  serve();
  ASSERT_TRUE(server().post(0, [&, server = server()] {
    EXPECT_TRUE(server.dial(own_address(), dial_how()).close());
    EXPECT_TRUE(server.dial(own_address(), dial_how()).abort());
    return Action::None;
  }));
  ASSERT_TRUE(log_.wait_for("unreachable", 2));
  EXPECT_EQ(log_.all(), (EventLog::List{"unreachable", "unreachable"}));
  for (const Error& err : errors_) EXPECT_EQ(err.code(), std::errc::operation_canceled);
}

TEST_P(DialEndsTest, AtItsTimeout) {
  serve();
  const SilentPort silent;
  const auto began = std::chrono::steady_clock::now();
  server().dial(dial_address(silent.port()), dial_how({.timeout = 50ms}));
  const Error err = unreachable();
  EXPECT_GE(std::chrono::steady_clock::now() - began, 50ms);
  EXPECT_EQ(err.code(), std::errc::timed_out);
  EXPECT_EQ(err.message(), "dial " + dial_address(silent.port()) + ": connect: Connection timed out");
}

TEST_P(DialEndsTest, AtTheShutdown) {
  serve();
  const SilentPort silent;
  const Conn conn = server().dial(dial_address(silent.port()), dial_how());
  server_->shutdown();
  EXPECT_FALSE(server_->wait());
  const Error err = unreachable();
  EXPECT_EQ(err.code(), std::errc::operation_canceled) << err.message();
  EXPECT_FALSE(conn.send("x"));
  EXPECT_EQ(server().dial(own_address(), dial_how()).id(), 0u) << "serve has returned";
  EXPECT_EQ(Server().dial("tcp://127.0.0.1:1").id(), 0u) << "of no server";
}

TEST_P(DialEndsTest, WhatUnreachableThrowsComesOutOfServeThoughNoLoopHasRun) {
  Events handlers = this->handlers();
  handlers.serving = [](const Server& server) {
    EXPECT_TRUE(server.dial(dial_address(server.addrs().at(0)), dial_how()).dialed());
    return Action::Shutdown;
  };
  handlers.unreachable = [](Conn&, const Error& err) {
    EXPECT_EQ(err.code(), std::errc::operation_canceled) << err.message();
    throw std::runtime_error("no good");
  };
  try {
    const Error err = evio::serve(handlers, address());
    ADD_FAILURE() << err.message();
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "no good");
  }
}

// A program that dials again whenever it was unreachable does not keep a server that shuts down.
TEST_P(DialEndsTest, DialingAgainDoesNotHoldUpAShutdown) {
  Events handlers = this->handlers();
  Counter told;
  handlers.drain_timeout = 10 * kPatience;
  handlers.unreachable = [&](Conn& conn, const Error&) {
    told.add();
    conn.server().dial(own_address(), dial_how());
  };
  serve(handlers);
  const SilentPort silent;
  server().dial(dial_address(silent.port()), dial_how());
  server_->shutdown();
  EXPECT_FALSE(server_->wait());
  EXPECT_GE(told.value(), 1u);
}

// It meets some that wait for their loop, some that are being connected or shake hands, and some that are open.
TEST_P(DialEndsTest, EachHasOneEndWhereverAShutdownMeetsIt) {
  for (const std::size_t before : {0u, 1u, 30u, 60u}) {
    SCOPED_TRACE(before);
    std::map<std::uint64_t, std::string> lives;
    const auto add = [&](const Conn& conn, const char* what) {
      const std::lock_guard lock(mutex_);
      if (conn.dialed()) lives[conn.id()] += what;
    };
    Counter opened;
    Events handlers = this->handlers();
    handlers.opened = [&](Conn& conn, Output&, Options&) {
      add(conn, "opened ");
      if (conn.dialed()) opened.add();
      return Action::None;
    };
    handlers.closed = [&](Conn& conn, const Error& err) {
      add(conn, err ? "failed " : "closed ");
      return Action::None;
    };
    // With whatever error: the other side of it is in the same shutdown.
    handlers.unreachable = [&](Conn& conn, const Error&) { add(conn, "unreachable "); };
    serve(handlers);
    std::set<std::uint64_t> dialed;
    for (int i = 0; i != 100; ++i) dialed.insert(server().dial(own_address(), dial_how({.timeout = 0ns})).id());
    EXPECT_TRUE(opened.wait_for(before));
    server_->shutdown();
    EXPECT_FALSE(server_->wait());
    const Stats stats = server().stats();
    server_.reset();
    EXPECT_EQ(lives.size(), dialed.size());
    std::map<std::string, std::uint64_t> ends;
    for (const auto& [id, life] : lives) ++ends[life];
    EXPECT_EQ(ends["opened closed "] + ends["unreachable "], dialed.size()) << testing::PrintToString(lives);
    EXPECT_EQ(stats.dialed, ends["opened closed "]);
    EXPECT_EQ(stats.unreachable, ends["unreachable "]);
    EXPECT_EQ(stats.connections, 0u);
  }
}

TEST_P(DialEndsTest, AnExceptionOfUnreachableShutsTheServerDown) {
  Events handlers = this->handlers();
  handlers.unreachable = [](Conn&, const Error&) { throw std::runtime_error("not there"); };
  serve(handlers);
  server().dial("unix://" + path("nowhere"));
  server_->wait();
  EXPECT_EQ(server_->thrown_message(), "not there");
}

TEST_P(DialEndsTest, WithoutUnreachableItIsJustOver) {
  Events handlers = this->handlers();
  handlers.unreachable = nullptr;
  serve(handlers);
  const auto context = std::make_shared<int>(1);
  server().dial("unix://" + path("nowhere"), context);
  EXPECT_TRUE(eventually([&] { return context.use_count() == 1; }));
  EXPECT_EQ(server().stats().unreachable, 1u);
}

// simultaneous open: RFC 9293, 3.5
TEST_P(DialEndsTest, AConnectionToItselfIsRefused) {
  serve();
  const ClosedPort closed;
  const std::string at = "127.0.0.1:" + std::to_string(closed.port());
  std::size_t n = 0;
  for (const char* const host : {"127.0.0.1", "0.0.0.0"}) {
    server().dial(dial_address(closed.port(), host), dial_how({.local = at}));
    ASSERT_TRUE(log_.wait_for("unreachable", ++n)) << host;
    const Error err = unreachable();
    EXPECT_EQ(err.code(), std::errc::connection_refused) << err.message();
  }
}

TEST_P(DialEndsTest, ComesFromTheLocalAddress) {
  if (!mode().is_tcp()) return;
  opened_ = [&](Conn& conn, Output&, Options&) {
    EXPECT_EQ(conn.local_addr().ip(), "127.0.0.2");
    return Action::None;
  };
  serve();
  const std::string to = dial_address(server_->addr().port());
  server().dial(to, dial_how({.local = "127.0.0.2"}));
  EXPECT_TRUE(log_.wait_for("opened"));
  server().dial(to, dial_how({.local = "127.0.0.2:0"}));
  EXPECT_TRUE(log_.wait_for("opened", 2));
}

}  // namespace
}  // namespace evio::test
