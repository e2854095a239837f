// Guarantee 23: a server dials from whatever callback of its own, and each dial is opened.
#include <algorithm>
#include <chrono>
#include <mutex>
#include <set>
#include <string>

#include "tests/support/dial_fixture.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMuch = 8'000'000;  // more than sockets hold

/// A server that dials itself once from each callback. The context of such a connection says which one it was.
class DialFromCallbacksTest : public ModeTest {
 protected:
  void dial_from(const std::string& callback, const Server& server) {
    const std::lock_guard lock(mutex_);
    if (!done_.insert(callback).second) return;
    EXPECT_GE(server.dial(dial_address(server.addrs().at(0)), callback, dial_how()).loop_index(), 0) << callback;
  }
  auto function(const char* name) {
    return [this, name](Conn& conn, Output&) {
      dial_from(name, conn.server());
      return Action::None;
    };
  }
  Events dialing();
  Action obey(Conn& conn, std::string_view what, Output& out);
  void cause_all(const TestServer& server);

  EventLog log_;
  std::mutex mutex_;
  std::set<std::string> done_;
};
EVIO_INSTANTIATE(DialFromCallbacksTest, with_tls(all_modes()));

Events DialFromCallbacksTest::dialing() {
  Events handlers = events();
  handlers.serving = [this](const Server& server) {
    dial_from("serving", server);
    return Action::None;
  };
  handlers.opened = [this](Conn& conn, Output&, Options& options) {
    EXPECT_EQ(conn.tls() != nullptr, mode().is_tls());
    if (conn.dialed()) {
      log_.add(*conn.context<std::string>());
      return Action::Close;
    }
    options.half_open = true;
    options.high_water = 1000;
    dial_from("opened", conn.server());
    return Action::None;
  };
  handlers.data = [this](Conn& conn, const Bytes& in, Output& out) { return obey(conn, in.view(), out); };
  handlers.closed = [this](Conn& conn, const Error&) {
    dial_from("closed", conn.server());
    return Action::None;
  };
  handlers.detached = [this](Conn& conn, DetachedConn) {
    dial_from("detached", conn.server());
    return Action::None;
  };
  handlers.congested = [this](Conn& conn) {
    dial_from("congested", conn.server());
    return Action::None;
  };
  handlers.drained = function("drained");
  handlers.ended = [this](Conn& conn, Output&) {
    dial_from("ended", conn.server());
    return Action::Close;
  };
  handlers.timeout = [this](Conn& conn, Timeout, Output&) {
    dial_from("timeout", conn.server());
    return Action::None;
  };
  handlers.unreachable = [this](Conn& conn, const Error& err) {
    if (err.code() == std::errc::invalid_argument) return dial_from("unreachable", conn.server());
    log_.add("unreachable: " + err.message());
  };
  return handlers;
}

Action DialFromCallbacksTest::obey(Conn& conn, std::string_view what, Output& out) {
  dial_from("data", conn.server());
  if (what == "post") conn.post(function("post"));
  if (what == "post_after") conn.post_after(1us, function("post_after"));
  if (what == "post to the loop") {
    conn.server().post(conn.loop_index(), [this, server = conn.server()] {
      dial_from("post to the loop", server);
      return Action::None;
    });
  }
  if (what == "timeout") conn.expires_after(1us);
  if (what == "unreachable") conn.server().dial("no address");
  if (what == "x") out = "y";
  if (what == "much") out = std::string(kMuch, 'm');
  return what == "detach" ? Action::Detach : Action::None;
}

void DialFromCallbacksTest::cause_all(const TestServer& server) {
  for (const std::string what : {"post", "post_after", "post to the loop", "timeout", "unreachable"}) {
    Client client = server.connect();
    ASSERT_TRUE(client.send_all(what));
    ASSERT_TRUE(log_.wait_for(what)) << what;
  }
  Client slow = server.connect();
  ASSERT_TRUE(slow.send_all("much"));
  EXPECT_EQ(slow.receive(kMuch).size(), kMuch);
  slow.shutdown_write();
  EXPECT_EQ(slow.receive_all(), "");
}

TEST_P(DialFromCallbacksTest, OpensEachOfThem) {
  TestServer server(dialing(), address());
  cause_all(server);
  for (const std::string callback : {"serving", "opened", "data", "closed", "congested", "drained", "ended"})
    EXPECT_TRUE(log_.wait_for(callback)) << callback;
}

// Which no connection does that is encrypted.
class DialFromDetachedTest : public DialFromCallbacksTest {};
EVIO_INSTANTIATE(DialFromDetachedTest, all_modes());

TEST_P(DialFromDetachedTest, OpensThatToo) {
  TestServer server(dialing(), address());
  Client leaving = server.connect();
  ASSERT_TRUE(leaving.send_all("detach"));
  EXPECT_EQ(leaving.receive_all(), "");
  EXPECT_TRUE(log_.wait_for("detached"));
}

// Callbacks that are about no connection have no Conn::server().
TEST_P(DialFromCallbacksTest, OpensThoseOfTicksAndOfAcceptingToo) {
  Server own;
  Events handlers = dialing();
  handlers.serving = [&own](const Server& server) {
    own = server;
    return Action::None;
  };
  handlers.accepting = [&](int, const Addr&) {
    dial_from("accepting", own);
    return true;
  };
  handlers.pre_write = [&] { dial_from("pre_write", own); };
  handlers.tick = [&](std::chrono::nanoseconds& delay) {
    dial_from("tick", own);
    delay = 1h;
    return Action::None;
  };
  TestServer server(std::move(handlers), address());
  Client client = server.connect();
  ASSERT_TRUE(client.send_all("x"));
  for (const std::string callback : {"accepting", "pre_write", "tick"})
    EXPECT_TRUE(log_.wait_for(callback)) << callback;
}

// A shutdown has begun.
TEST_P(DialFromCallbacksTest, SaysInStoppingThatTheyAreCancelled) {
  Events handlers = dialing();
  handlers.stopping = [this](const Server& server) { dial_from("stopping", server); };
  TestServer server(std::move(handlers), address());
  ASSERT_TRUE(log_.wait_for("serving"));
  server.shutdown();
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(log_.count("stopping"), 0u);
  const auto all = log_.all();
  EXPECT_TRUE(
      std::ranges::any_of(all, [](const std::string& event) { return event.starts_with("unreachable: dial "); }));
}

}  // namespace
}  // namespace evio::test
