// Memory runs out in a thread that calls a connection: a call that is true has its effect, one that is false has none.
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "tests/fault/failing_memory.hpp"
#include "tests/support/fate.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

class CallMemoryTest : public FailingMemoryTest {
 protected:
  void start() {
    Events handlers = events();
    handlers.opened = [this](Conn& conn, Output& out, Options& opts) {
      conn_ = conn;
      opts.half_open = true;
      out = "+";
      return Action::None;
    };
    handlers.data = echo;
    handlers.timeout = [this](Conn&, Timeout, Output& out) {
      timeouts_.add();
      out = "late";
      return Action::None;
    };
    handlers.closed = [this](Conn&, const Error&) {
      closed_.add();
      return Action::None;
    };
    server_ = std::make_unique<TestServer>(std::move(handlers), address());
  }
  void TearDown() override {
    fail_no_more();
    server_.reset();
    conn_ = Conn();
    FailingMemoryTest::TearDown();
  }

  // For each connection one allocation more is made before one fails, or all behind it, in a thread that has nothing
  // of the loop's queue yet. `check` gets what the call returned.
  void fail_each(const std::function<bool()>& call, const std::function<void(Client&, bool)>& check,
                 const std::function<void(Client&)>& prepare = nullptr) {
    start();
    int total = 0;
    for (const int count :
         {1'000'000, 1}) {  // in this order: once there is something for a thread, the next one has it
      int nth = 0;
      for (bool some_failed = true; some_failed && nth != 20 && !HasFailure(); ++nth) {
        SCOPED_TRACE(std::to_string(count) + " after " + std::to_string(nth));
        const std::size_t closed = closed_.value();
        Client client = server_->connect();
        ASSERT_EQ(client.receive(1), "+");
        if (prepare) prepare(client);
        bool result = false;
        fail_allocations(nth, count);
        std::thread([&] {
          may_fail = true;
          result = call();
          may_fail = false;
        }).join();
        some_failed = fail_no_more() != 0;
        check(client, result);
        client.reset();
        ASSERT_TRUE(closed_.wait_for(closed + 1));
      }
      EXPECT_LT(nth, 20);
      total += nth;
    }
    EXPECT_GT(total, 2) << "nothing has failed";
  }
  static void expect_echo(Client& client, const std::string& text) {
    client.send_all(text);
    EXPECT_EQ(client.receive(text.size()), text);
  }

  std::unique_ptr<TestServer> server_;
  Conn conn_;  // the last one, once its client has the "+"
  Counter timeouts_;
  Counter closed_;
};
EVIO_INSTANTIATE(CallMemoryTest, modes_of({1, 4}));

TEST_P(CallMemoryTest, AResumeIsHeardOf) {
  fail_each([this] { return conn_.resume(); },
            [](Client& client, bool result) {
              EXPECT_TRUE(result);
              EXPECT_EQ(client.receive(6), "paused");
            },
            [this](Client& client) {
              EXPECT_TRUE(conn_.pause());
              client.send_all("paused");
            });
}

TEST_P(CallMemoryTest, AnAbortIsHeardOf) {
  fail_each([this] { return conn_.abort(); },
            [this](Client& client, bool result) {
              EXPECT_TRUE(result);
              client.receive_all();
              EXPECT_TRUE(client.at_end() || client.error());
              EXPECT_TRUE(eventually([this] { return !conn_.wake(); }));
            });
}

TEST_P(CallMemoryTest, TheEndOfItsOutputComesOrIsRefused) {
  fail_each([this] { return conn_.close_write(); },
            [this](Client& client, bool result) {
              EXPECT_EQ(conn_.send("more"), !result);
              EXPECT_EQ(client.receive(4), result ? "" : "more");
              EXPECT_EQ(client.at_end(), result);
              EXPECT_TRUE(conn_.wake()) << "its input goes on";
            });
}

TEST_P(CallMemoryTest, ADeadlineComesOrIsRefused) {
  fail_each([this] { return conn_.expires_after(1us); },
            [](Client& client, bool result) {
              if (result) {
                EXPECT_EQ(client.receive(4), "late");
              }
              expect_echo(client, "echo");
            });
  EXPECT_GT(timeouts_.value(), 0u);
}

// Where the loop cannot be told, it is destroyed with its connection.
TEST_P(CallMemoryTest, ATimerThatIsCancelledNeverRuns) {
  Timer timer;
  std::unique_ptr<Fate> fate;
  fail_each([&] { return timer.cancel(); },
            [&](Client& client, bool result) {
              EXPECT_TRUE(result);
              EXPECT_FALSE(timer.cancel());
              expect_echo(client, "echo");
              client.reset();
              EXPECT_TRUE(fate->wait_for_end());
              EXPECT_EQ(fate->ends(), 1u);
              EXPECT_EQ(fate->runs(), 0u);
            },
            [&](Client&) {
              fate = std::make_unique<Fate>();
              timer = conn_.post_after(1h, [token = fate->token()](Conn&, Output&) {
                token.run();
                return Action::None;
              });
            });
}

}  // namespace
}  // namespace evio::test
