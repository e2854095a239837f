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
#include "tests/support/tls_peer.hpp"

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
  /// A call that a dial makes: the first of its kind, or one of those that follow.
  struct Stage {
    Call call;
    int before = 0;
    std::string name() const { return std::string(name_of(call)) + ", " + std::to_string(before) + " before it"; }
  };

  /// Dials on loop 0, and calls `what` after that call. False if the dial makes fewer.
  bool dial_and_interrupt(const std::string& address, Stage stage, const std::function<void(const Conn&)>& what) {
    std::atomic<bool> dialing{false};
    std::atomic<int> left{stage.before};
    std::atomic<bool> done{false};
    Conn conn;
    const Injection injection([](Invocation&) { return 0; },
                              [&](const Invocation& made, long) {
                                if (made.call == stage.call && dialing && left-- == 0) {
                                  what(conn);
                                  done = true;
                                }
                              });
    EXPECT_TRUE(server().post(0, [&, server = server()] {
      conn = server.dial(address, dial_how());
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
  std::vector<std::string> addresses() const {
    if (mode().is_tls()) return {dial_address(tls_->port())};
    return {tcp_->address(), unix_->address(), udp_->address()};
  }
  static std::vector<Stage> stages() {
    std::vector<Stage> all;
    for (const Call call : {Call::kSocket, Call::kConnect, Call::kGetsockname, Call::kGetsockopt, Call::kEpollCtl})
      all.push_back({call});
    if (!mode().is_tls()) return all;
    // Of a handshake: its hello and its last message are sent, the answer is read in one or more.
    for (const Call call : {Call::kSend, Call::kRead, Call::kEpollCtl, Call::kEpollWait}) {
      for (int before = 0; before != 4; ++before) all.push_back({call, before});
    }
    return all;
  }
  void SetUp() override {
    DialTest::SetUp();
    tcp_ = std::make_unique<QuietListener>();
    unix_ = std::make_unique<QuietListener>(path("quiet"), 4096);
    udp_ = std::make_unique<DatagramPeer>();
    if (!mode().is_tls()) return;
    tls_ = std::make_unique<TlsPeer>([](int fd) {
      const Spared own;
      serve_tls(fd);
    });
  }
  void TearDown() override {
    server_.reset();  // the peer waits for the end of what it has dialed
    tls_.reset();
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
  std::unique_ptr<TlsPeer> tls_;
};
EVIO_INSTANTIATE(DialStagesTest, with_tls(modes_of(Network::kTcp)));

TEST_P(DialStagesTest, ACloseOrAnAbortHasOneEnd) {
  serve();
  int interrupted = 0;
  for (const std::string& address : addresses()) {
    for (const Stage& stage : stages()) {
      SCOPED_TRACE(address + " " + stage.name());
      interrupted += dial_and_interrupt(address, stage, [](const Conn& conn) { conn.close(); }) ? 1 : 0;
      interrupted += dial_and_interrupt(address, stage, [](const Conn& conn) { conn.abort(); }) ? 1 : 0;
    }
  }
  EXPECT_GE(interrupted, 18);
}

TEST_P(DialStagesTest, AShutdownHasOneEnd) {
  for (const std::string& address : addresses()) {
    for (const Stage& stage : stages()) {
      SCOPED_TRACE(address + " " + stage.name());
      serve();
      dial_and_interrupt(address, stage, [](const Conn& conn) { conn.server().shutdown(); });
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
      server().dial(address, dial_how());
      EXPECT_TRUE(log_.wait_for("closed", n + 1));
      server_.reset();
    }
  }
}

}  // namespace
}  // namespace evio::test
