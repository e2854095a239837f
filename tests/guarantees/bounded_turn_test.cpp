// Guarantees 5 and 7, and what one connection may take of a turn: whatever others do to it, the loop serves everybody.
// The bounds are listed in internal/README.md.
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

/// A thread that asks something of a connection each time its `data` is called, and is done before that returns.
/// Thread-safety: ask() on one loop's thread.
class Pest {
 public:
  explicit Pest(std::function<void(const Conn&)> does) : does_(std::move(does)) {
    thread_ = std::thread([this] {
      for (std::size_t n = 1; asked_.wait_for(n) && !over_; ++n) {
        does_(conn_);
        done_.add();
      }
    });
  }
  ~Pest() {
    over_ = true;
    asked_.add(1'000'000'000);
    thread_.join();
  }
  void ask(const Conn& conn) {
    conn_ = conn;
    const std::size_t n = asked_.add();
    EXPECT_TRUE(over_ || done_.wait_for(n));
  }

 private:
  std::function<void(const Conn&)> does_;
  Conn conn_;
  Counter asked_;
  Counter done_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

class BoundedTurnTest : public ModeTest {
 protected:
  // The connection that says "pest" has `does` called by another thread during each of its data calls.
  void serve(std::function<void(const Conn&)> does) {
    pest_ = std::make_unique<Pest>(std::move(does));
    Events handlers = events();
    handlers.data = [this](Conn& conn, const Bytes& in, Output& out) {
      if (in == "pest") conn.set_context(true);
      if (conn.context<bool>() != nullptr) {
        pest_->ask(conn);
        calls_.add();
      } else {
        out = in;
      }
      return Action::None;
    };
    server_ = std::make_unique<TestServer>(handlers, address());
  }
  // The connection that says "pest" is answered, and wakes itself in each of its data calls.
  void serve_one_that_wakes_itself(std::string answer) {
    Events handlers = events();
    handlers.drain_timeout = std::chrono::nanoseconds(0);
    handlers.data = [this, answer = std::move(answer)](Conn& conn, const Bytes& in, Output& out) {
      if (in == "pest") {
        conn.set_context(true);
        out = answer;
      }
      if (conn.context<bool>() != nullptr) {
        conn.wake();
        calls_.add();
      } else {
        out = in;
      }
      return Action::None;
    };
    server_ = std::make_unique<TestServer>(handlers, address());
  }
  // With one loop for all, or with several of which each has one of these.
  void expect_that_others_are_served() {
    Client pest = server_->connect();
    ASSERT_TRUE(pest.send_all("pest"));
    ASSERT_TRUE(calls_.wait_for(3));
    for (int i = 0; i != 8; ++i) {
      Client other = server_->connect();
      ASSERT_TRUE(other.send_all("hello"));
      ASSERT_EQ(other.receive(5), "hello");
    }
    server_->shutdown();
    EXPECT_FALSE(server_->wait());
  }
  void TearDown() override {
    server_.reset();
    pest_.reset();
    ModeTest::TearDown();
  }

  Counter calls_;
  std::unique_ptr<Pest> pest_;
  std::unique_ptr<TestServer> server_;
};

TEST_P(BoundedTurnTest, WakesOfAThreadStarveNobody) {
  serve([](const Conn& conn) { conn.wake(); });
  expect_that_others_are_served();
}

TEST_P(BoundedTurnTest, SendsAndWakesOfAThreadStarveNobody) {
  serve([](const Conn& conn) {
    conn.wake();
    conn.send("x");
  });
  expect_that_others_are_served();
}

TEST_P(BoundedTurnTest, OwnWakesInEachCallStarveNobody) {
  serve_one_that_wakes_itself("");
  expect_that_others_are_served();
}

// Its output waits, which a wake does not.
TEST_P(BoundedTurnTest, WakesDuringPendingOutputStarveNobody) {
  serve_one_that_wakes_itself(pattern(16'000'000));
  expect_that_others_are_served();
}

// More than are worked off at once, all there before the loop looks.
TEST_P(BoundedTurnTest, EverySendOfALongQueueArrivesInOrder) {
  constexpr int kSends = 5'000;
  Gate opened;
  Gate go;
  Conn conn;
  Events handlers = events();
  handlers.opened = [&](Conn& c, Output&, Options&) {
    conn = c;
    opened.open();
    EXPECT_TRUE(go.wait());
    return Action::None;
  };
  handlers.data = [](Conn&, const Bytes& in, Output& out) {
    out = in.empty() ? "wake" : "data";
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(opened.wait());
  std::string expected;
  for (int i = 0; i != kSends; ++i) {
    const std::string number = std::to_string(i) + ' ';
    EXPECT_TRUE(conn.send(number));
    expected += number;
    if (i != kSends / 2) continue;
    EXPECT_TRUE(conn.wake());
    expected += "wake";
  }
  go.open();
  EXPECT_EQ(client.receive(expected.size()), expected);
}

EVIO_INSTANTIATE(BoundedTurnTest, all_modes());

}  // namespace
}  // namespace evio::test
