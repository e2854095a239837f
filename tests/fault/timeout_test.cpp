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
  // Shuts a server down whose client does not read what is pending. Returns the waits that followed.
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
    timeouts.begin();
    server.shutdown();
    EXPECT_FALSE(server.wait());
    return timeouts.seen();
  }
};
EVIO_INSTANTIATE(TimeoutTest, modes_of({1, 4}));

TEST_P(TimeoutTest, ADrainWaitsNoLongerThanItMay) {
  const std::vector<int> waits = waits_of_a_drain(200ms);
  ASSERT_FALSE(waits.empty());
  // A loop that had not noticed yet may have gone to sleep once more, to be woken at once.
  EXPECT_LE(std::ranges::count(waits, -1), loops());
  EXPECT_LE(std::ranges::max(waits), 200);
  EXPECT_GT(std::ranges::max(waits), 0);
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
  EXPECT_TRUE(eventually([&] { return std::ranges::any_of(timeouts.seen(), [](int ms) { return ms > 0; }); }))
      << "it does not linger";
  EXPECT_LE(std::ranges::max(timeouts.seen()), 1000);
}

// epoll_wait(2) needs no memory.
std::vector<Mode> portable_modes() {
  std::vector<Mode> modes = modes_of({1, 4});
  std::erase_if(modes, [](const Mode& mode) { return mode.poller == PollerKind::kEpoll; });
  return modes;
}

class WaitFailureTest : public ModeTest {};
EVIO_INSTANTIATE(WaitFailureTest, portable_modes());

// What poll(2) fails with may last: no loop spins meanwhile, and all is well after it.
TEST_P(WaitFailureTest, WithoutMemoryForAWhileNothingSpinsAndNothingIsLost) {
  std::atomic<bool> out_of_memory{false};
  Injection injection([&](Invocation& invocation) { return is_wait(invocation.call) && out_of_memory ? ENOMEM : 0; });
  Events handlers = events();
  handlers.data = echo;
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("before");
  EXPECT_EQ(client.receive(6), "before");
  out_of_memory = true;
  client.send_all("meanwhile");  // wakes the loop, whose next wait fails
  const int before = injection.count(Call::kPoll);
  std::this_thread::sleep_for(kQuietTime);
  // A loop that spins makes hundreds of thousands of these meanwhile.
  EXPECT_LT(injection.count(Call::kPoll) - before, 100 * loops());
  out_of_memory = false;
  EXPECT_EQ(client.receive(9), "meanwhile");
}

}  // namespace
}  // namespace evio::test
