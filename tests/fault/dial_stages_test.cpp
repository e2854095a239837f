// Guarantee 23: whatever happens at whatever stage of a dial, it has one end. A stage is a system call of it, and what
// happens does so right after that call, on its loop.
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/fault/inject.hpp"
#include "tests/support/datagram_peer.hpp"
#include "tests/support/dial_fixture.hpp"
#include "tests/support/quiet_listener.hpp"

namespace evio::test {
namespace {

class DialStagesTest : public DialTest {
 protected:
  void serve() {
    Events handlers = DialTest::handlers();
    handlers.opened = [this](Conn&, Output&, Options&) {
      log_.add("opened");
      return in_opened_.load();
    };
    handlers.unreachable = [this](Conn&, const Error& err) {
      EXPECT_EQ(err.code(), std::errc::operation_canceled) << err.message();
      log_.add("unreachable");
    };
    handlers.closed = [this](Conn&, const Error&) {
      log_.add("closed");
      return Action::None;
    };
    DialTest::serve(handlers);
  }
  /// Dials on loop 0, and calls `what` after the first of these calls that the dial makes. False if it makes none.
  bool dial_and_interrupt(const std::string& address, Call call, const std::function<void(const Conn&)>& what) {
    std::atomic<bool> dialing{false};
    std::atomic<bool> done{false};
    Conn conn;
    const Injection injection([](Invocation&) { return 0; },
                              [&](const Invocation& made, long) {
                                if (made.call == call && dialing.exchange(false)) {
                                  what(conn);
                                  done = true;
                                }
                              });
    EXPECT_TRUE(server().post(0, [&, server = server()] {
      conn = server.dial(address);
      dialing = true;
      return Action::None;
    }));
    const std::size_t n = ++dials_;
    EXPECT_TRUE(eventually([&] { return log_.count("unreachable") + log_.count("opened") == n; }));
    conn.close();
    EXPECT_TRUE(eventually([&] { return log_.count("unreachable") + log_.count("closed") == n; }));
    EXPECT_EQ(log_.count("opened"), log_.count("closed"));
    return done;
  }
  std::vector<std::string> addresses() { return {tcp_->address(), unix_->address(), udp_->address()}; }
  void SetUp() override {
    DialTest::SetUp();
    tcp_ = std::make_unique<QuietListener>();
    unix_ = std::make_unique<QuietListener>(path("quiet"), 4096);
    udp_ = std::make_unique<DatagramPeer>();
  }
  void TearDown() override {
    tcp_.reset();
    unix_.reset();
    udp_.reset();
    DialTest::TearDown();
  }

  std::atomic<Action> in_opened_{Action::None};
  std::size_t dials_ = 0;
  std::unique_ptr<QuietListener> tcp_;
  std::unique_ptr<QuietListener> unix_;
  std::unique_ptr<DatagramPeer> udp_;
};
EVIO_INSTANTIATE(DialStagesTest, modes_of(Network::kTcp));

constexpr Call kStages[] = {Call::kSocket, Call::kConnect, Call::kGetsockname, Call::kGetsockopt, Call::kEpollCtl};

TEST_P(DialStagesTest, ACloseOrAnAbortHasOneEnd) {
  serve();
  int interrupted = 0;
  for (const std::string& address : addresses()) {
    for (const Call call : kStages) {
      SCOPED_TRACE(address + " " + name_of(call));
      interrupted += dial_and_interrupt(address, call, [](const Conn& conn) { conn.close(); }) ? 1 : 0;
      interrupted += dial_and_interrupt(address, call, [](const Conn& conn) { conn.abort(); }) ? 1 : 0;
    }
  }
  EXPECT_GE(interrupted, 18);
}

TEST_P(DialStagesTest, AShutdownHasOneEnd) {
  for (const std::string& address : addresses()) {
    for (const Call call : kStages) {
      SCOPED_TRACE(address + " " + name_of(call));
      serve();
      dial_and_interrupt(address, call, [](const Conn& conn) { conn.server().shutdown(); });
      server_.reset();
    }
  }
}

TEST_P(DialStagesTest, EachActionOfOpened) {
  for (const Action action : {Action::Close, Action::Detach, Action::Shutdown}) {
    for (const std::string& address : addresses()) {
      in_opened_ = action;
      serve();
      const std::size_t n = log_.count("closed");
      server().dial(address);
      EXPECT_TRUE(log_.wait_for("closed", n + 1));
      server_.reset();
    }
  }
}

}  // namespace
}  // namespace evio::test
