#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {

/// The text that dials an address that is listened on.
inline std::string dial_text(const Addr& addr) { return addr.network() + "://" + addr.to_string(); }

/// A server that dials itself. What it dialed sends nothing of itself; what it accepted echoes. Thread-safety: one
/// thread; the handlers any.
class DialTest : public ModeTest {
 protected:
  // Of a connection that was dialed: "opened", "data: ...", "closed", "unreachable: ...". The accepted ones echo.
  Events handlers() {
    Events handlers = events();
    handlers.opened = [this](Conn& conn, Output& out, Options& options) {
      EXPECT_EQ(conn.tls() != nullptr, mode().is_tls() && conn.remote_addr().network() == "tcp");
      if (!conn.dialed()) return Action::None;
      const Action action = opened_ ? opened_(conn, out, options) : Action::None;
      log_.add("opened");  // last: then a test may end
      return action;
    };
    handlers.data = [this](Conn& conn, const Bytes& in, Output& out) {
      if (!conn.dialed()) return echo(conn, in, out);
      const std::lock_guard lock(mutex_);
      heard_ += in.view();
      heard_bytes_.add(in.size());
      return Action::None;
    };
    handlers.closed = [this](Conn& conn, const Error& err) {
      if (conn.dialed()) log_.add(err ? "closed: " + err.message() : "closed");
      return Action::None;
    };
    handlers.unreachable = [this](Conn& conn, const Error& err) {
      EXPECT_TRUE(conn.dialed());
      const std::lock_guard lock(mutex_);
      errors_.push_back(err);
      log_.add("unreachable");
    };
    return handlers;
  }
  void serve() { serve(handlers()); }
  void serve(Events handlers) { server_ = std::make_unique<TestServer>(std::move(handlers), address()); }
  const Server& server() const { return server_->handle(); }
  std::string own_address() const { return dial_address(server_->addr()); }
  std::string heard(std::size_t n) {
    EXPECT_TRUE(heard_bytes_.wait_for(n));
    const std::lock_guard lock(mutex_);
    return heard_;
  }
  /// Of the dial that could not be opened, alone.
  Error unreachable() {
    EXPECT_TRUE(log_.wait_for("unreachable"));
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(errors_.size(), 1u);
    return errors_.empty() ? Error() : std::exchange(errors_, {}).front();
  }
  void TearDown() override {
    server_.reset();
    ModeTest::TearDown();
  }

  EventLog log_;
  std::function<Action(Conn&, Output&, Options&)> opened_;
  std::mutex mutex_;
  std::string heard_;
  Counter heard_bytes_;
  std::vector<Error> errors_;
  std::unique_ptr<TestServer> server_;
};

}  // namespace evio::test
