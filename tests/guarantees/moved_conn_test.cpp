// The Conn& of a callback is the callback's to assign to and to move away.
#include <mutex>
#include <utility>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class MovedConnTest : public ModeTest {
 protected:
  void keep(Conn conn) {
    const std::lock_guard lock(mutex_);
    kept_.push_back(std::move(conn));
  }

  EventLog log_;
  std::mutex mutex_;
  std::vector<Conn> kept_;
};

TEST_P(MovedConnTest, EveryCallbackMayMoveItAway) {
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output& out, Options&) {
    keep(std::move(conn));
    out = "hello ";
    return Action::None;
  };
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    keep(std::move(conn));
    out = in;
    return in == "leave" ? Action::Detach : Action::None;
  };
  handlers.closed = [&](Conn& conn, const Error&) {
    log_.add(conn, "closed");
    keep(std::move(conn));
    return Action::None;
  };
  handlers.detached = [&](Conn& conn, DetachedConn) {
    log_.add(conn, "detached");
    keep(std::move(conn));
    return Action::None;
  };
  TestServer server(handlers, address());
  {
    Client client = server.connect();
    EXPECT_EQ(client.receive(6), "hello ");
    for (const char* text : {"one", "two", "six"}) {
      client.send_all(text);
      EXPECT_EQ(client.receive(3), text);
    }
  }
  ASSERT_TRUE(log_.wait_for("closed"));
  Client leaving = server.connect();
  leaving.send_all("leave");
  EXPECT_EQ(leaving.receive_all(), "hello leave");
  ASSERT_TRUE(log_.wait_for("detached"));
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(std::set<Conn>(kept_.begin(), kept_.end()).size(), 2U);
  for (const Conn& conn : kept_) EXPECT_FALSE(conn.wake());
}

TEST_P(MovedConnTest, ACallbackMayAssignNothingToIt) {
  Events handlers = events();
  note_all(handlers, log_);
  handlers.opened = [](Conn& conn, Output&, Options&) {
    conn = Conn();
    return Action::None;
  };
  handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
    conn = Conn();
    out = in;
    return Action::Close;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("one");
  EXPECT_EQ(client.receive_all(), "one");
  EXPECT_TRUE(log_.wait_for("closed"));
}

EVIO_INSTANTIATE(MovedConnTest, all_modes());

}  // namespace
}  // namespace evio::test
