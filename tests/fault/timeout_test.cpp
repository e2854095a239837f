// How long a loop waits, as it says to the kernel: that can be asserted on a machine that is busy with other things
// too.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/fault/inject.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

bool is_wait(Call call) { return call == Call::kEpollWait || call == Call::kPoll; }

/// The timeouts of the waits from a moment on. Thread-safety: any thread.
class Timeouts {
 public:
  void begin() { begun_ = true; }
  int operator()(Invocation& invocation) {
    if (!begun_ || !is_wait(invocation.call)) return 0;
    const std::lock_guard lock(mutex_);
    seen_.push_back(invocation.timeout_ms);
    return 0;
  }
  bool any_positive() const {
    return std::ranges::any_of(seen(), [](int ms) { return ms > 0; });
  }
  std::vector<int> seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  std::atomic<bool> begun_{false};
  mutable std::mutex mutex_;
  std::vector<int> seen_;
};

class TimeoutTest : public ModeTest {
 protected:
  // Shuts a server down whose client does not read what is pending, and goes when a loop has waited for it where one
  // may. Returns the waits that followed.
  std::vector<int> waits_of_a_drain(std::chrono::nanoseconds timeout) {
    static const std::string kMuch = pattern(8'000'000);
    Timeouts timeouts;
    Injection injection(std::ref(timeouts));
    Events handlers = events();
    handlers.drain_timeout = timeout;
    handlers.data = [&](Conn&, const Bytes&, Output& out) {
      out = kMuch;
      return Action::None;
    };
    TestServer server(handlers, address());
    Client client(server.addr(), {.receive_buffer = 131'072});
    client.send_all("much");
    EXPECT_TRUE(client.has_input());
    EXPECT_TRUE(all_sleep());  // with the waits before the shutdown behind them
    timeouts.begin();
    server.shutdown();
    if (timeout > 0ns) {
      EXPECT_TRUE(eventually([&] { return timeouts.any_positive(); })) << "it does not wait";
      client.reset();
    }
    EXPECT_FALSE(server.wait());
    return timeouts.seen();
  }
};
EVIO_INSTANTIATE(TimeoutTest, modes_of({1, 4}));

TEST_P(TimeoutTest, ADrainWaitsNoLongerThanItMay) {
  constexpr auto kTimeout = 1min;  // longer than it takes until the loop waits, and never waited through
  const std::vector<int> waits = waits_of_a_drain(kTimeout);
  ASSERT_FALSE(waits.empty());
  EXPECT_EQ(std::ranges::count(waits, -1), 0);
  EXPECT_LE(std::ranges::max(waits), std::chrono::milliseconds(kTimeout).count());
}

TEST_P(TimeoutTest, ADrainOfZeroOrLessDoesNotWait) {
  for (const auto timeout : {0ns, std::chrono::nanoseconds(-10s)}) {
    for (const int wait : waits_of_a_drain(timeout)) EXPECT_LE(wait, 0);
  }
}

// After Close the peer's input is discarded, for a second at most.
TEST_P(TimeoutTest, AClosedConnectionLingersForASecondAtMost) {
  Timeouts timeouts;
  Injection injection(std::ref(timeouts));
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes&, Output& out) {
    timeouts.begin();
    out = "bye";
    return Action::Close;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("quit");
  EXPECT_EQ(client.receive_all(), "bye");
  EXPECT_TRUE(client.at_end());
  EXPECT_TRUE(eventually([&] { return timeouts.any_positive(); })) << "it does not linger";
  EXPECT_LE(std::ranges::max(timeouts.seen()), 1000);
}

class WaitFailureTest : public ModeTest {};
EVIO_INSTANTIATE(WaitFailureTest, modes_of({1, 4}));

// What epoll_wait(2) and poll(2) can fail with, but for EINTR, may last: no loop spins meanwhile, and all is well
// after it.
TEST_P(WaitFailureTest, ThatLastsMakesNothingSpinAndLosesNothing) {
  std::atomic<int> failure{0};
  Injection injection([&](Invocation& invocation) { return is_wait(invocation.call) ? failure.load() : 0; });
  const auto waits = [&] { return injection.count(Call::kEpollWait) + injection.count(Call::kPoll); };
  Events handlers = events();
  handlers.data = echo;
  TestServer server(handlers, address());
  Client client = server.connect();
  for (const int code : {ENOMEM, EBADF, EINVAL, EFAULT}) {
    failure = code;
    client.send_all("meanwhile");  // wakes the loop, whose next wait fails
    const int before = waits();
    const Stopwatch stopwatch;
    std::this_thread::sleep_for(kQuietTime);
    const int calls = waits() - before;
    // A loop that spins makes a thousand of these in a millisecond.
    EXPECT_LT(calls, (100 + stopwatch.milliseconds()) * loops()) << "errno " << code;
    failure = 0;
    EXPECT_EQ(client.receive(9), "meanwhile");
  }
}

class WakeUpFailureTest : public ModeTest {};
EVIO_INSTANTIATE(WakeUpFailureTest, modes_of({1}));

// The note for which the loop could not be woken is found with the next one, which wakes it.
TEST_P(WakeUpFailureTest, KeepsNoLaterNoteFromWakingTheLoop) {
  std::atomic<int> failures{0};
  Injection injection([&](Invocation& invocation) {
    return invocation.call == Call::kWrite && !is_socket(invocation.fd) && failures++ == 0 ? EIO : 0;
  });
  std::vector<Conn> conns;
  Counter opened;
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    conns.push_back(conn);
    opened.add();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client one = server.connect();
  ASSERT_TRUE(opened.wait_for(1));
  Client other = server.connect();
  ASSERT_TRUE(opened.wait_for(2));
  ASSERT_TRUE(all_sleep());  // a loop that is at work is not woken
  std::thread([&] { EXPECT_TRUE(conns[0].send("one")); }).join();
  EXPECT_EQ(failures, 1);
  std::thread([&] { EXPECT_TRUE(conns[1].send("other")); }).join();
  EXPECT_EQ(other.receive(5), "other");
  EXPECT_EQ(one.receive(3), "one");
}

}  // namespace
}  // namespace evio::test
