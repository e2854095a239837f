// A thread that stalls within send() holds up nobody: neither the order of what others have sent, nor the loop, nor the
// end of a connection. It stalls where memory is allocated.
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "tests/support/allocation_hook.hpp"
#include "tests/support/fixture.hpp"

namespace {

// What this thread does at its next allocation. A plain pointer, as it is read in every allocation.
thread_local std::function<void()>* at_allocation = nullptr;

}  // namespace

bool evio::test::allocation_fails() {
  if (auto* const stall = std::exchange(at_allocation, nullptr)) (*stall)();
  return false;
}

namespace evio::test {
namespace {

/// A thread that stands within conn.send() until it is let go. Thread-safety: the thread that made it.
class StalledSender {
 public:
  explicit StalledSender(Conn conn) {
    thread_ = std::thread([this, conn] {
      std::function<void()> stall = [this] {
        stalled_.open();
        EXPECT_TRUE(go_on_.wait());
      };
      const std::string text(900, 's');
      at_allocation = &stall;
      sent_ = conn.send(text);
    });
    EXPECT_TRUE(stalled_.wait());
  }
  ~StalledSender() { go_on(); }
  /// Returns what send() returned.
  bool go_on() {
    go_on_.open();
    if (thread_.joinable()) thread_.join();
    return sent_;
  }

 private:
  Gate stalled_;
  Gate go_on_;
  std::atomic<bool> sent_{false};
  std::thread thread_;
};

class StalledSenderRegressionTest : public ModeTest {
 protected:
  // A server whose `data` waits for go_, and a client of it.
  void start(std::function<void(Conn&)> in_data) {
    Events handlers = events();
    handlers.opened = [this](Conn& conn, Output&, Options&) {
      conn_ = conn;
      opened_.open();
      return Action::None;
    };
    handlers.data = [this, in_data = std::move(in_data)](Conn& conn, const Bytes&, Output& out) {
      in_data_.open();
      EXPECT_TRUE(go_.wait());
      if (in_data) in_data(conn);
      out = "out ";
      return Action::None;
    };
    handlers.closed = [this](Conn&, const Error&) {
      closed_.open();
      return Action::None;
    };
    server_ = std::make_unique<TestServer>(handlers, address());
    client_ = server_->connect();
    ASSERT_TRUE(opened_.wait());
  }
  void TearDown() override {
    client_.close();
    server_.reset();
    ModeTest::TearDown();
  }

  Conn conn_;
  Gate opened_;
  Gate in_data_;
  Gate go_;
  Gate closed_;
  std::unique_ptr<TestServer> server_;
  Client client_;
};

TEST_P(StalledSenderRegressionTest, LetsNoSendOfACallbackOvertakeACompletedOne) {
  start([](Conn& conn) { conn.send("callback "); });
  StalledSender stalled(conn_);
  ASSERT_TRUE(client_.send_all("x"));
  ASSERT_TRUE(in_data_.wait());
  EXPECT_TRUE(conn_.send("before "));
  go_.open();
  EXPECT_EQ(client_.receive(20), "before callback out ");
  EXPECT_TRUE(stalled.go_on());
  EXPECT_EQ(client_.receive(900), std::string(900, 's'));
}

TEST_P(StalledSenderRegressionTest, KeepsNoConnectionFromClosing) {
  start(nullptr);
  StalledSender stalled(conn_);
  EXPECT_TRUE(conn_.close());
  EXPECT_TRUE(closed_.wait()) << "what is sent when the thread goes on is refused";
  EXPECT_FALSE(stalled.go_on());
  EXPECT_EQ(client_.receive_all(), "");
}

// Its descriptor reports that for as long as it is watched.
TEST_P(StalledSenderRegressionTest, KeepsTheLoopFromSpinningOnAPeerThatIsGone) {
  start(nullptr);
  StalledSender stalled(conn_);
  conn_.close();
  client_.reset();
  EXPECT_TRUE(all_sleep());
}

EVIO_INSTANTIATE(StalledSenderRegressionTest, all_modes());

}  // namespace
}  // namespace evio::test
