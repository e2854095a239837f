// The timers of a loop against the obvious, a sorted set: millions of random operations, in callbacks too.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "internal/loop/timer_wheel.hpp"
#include "tests/support/enough.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::internal {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using TimePoint = Timer::TimePoint;

class TestTimer final : public Timer {
 public:
  std::function<void(TimePoint)> run;

 private:
  void on_timer(TimePoint now) noexcept override { run(now); }
};

/// A wheel and what it should do, operated at random. Thread-safety: one thread.
class Rounds {
 public:
  // How far the times of a round are apart decides at which levels of the wheel its timers are.
  Rounds(std::uint64_t seed, std::size_t timers)
      : random_(seed), magnitude_(kMagnitudes[static_cast<std::size_t>(seed % kMagnitudes.size())]) {
    for (std::size_t i = 0; i != timers; ++i) {
      TestTimer& timer = *timers_.emplace_back(std::make_unique<TestTimer>());
      timer.run = [this, i](TimePoint now) { on_timer(i, now); };
    }
    keys_.resize(timers);
  }
  ~Rounds() {
    for (const auto& timer : timers_) wheel_.disarm(*timer);
  }
  Rounds(const Rounds&) = delete;
  Rounds& operator=(const Rounds&) = delete;

  void operate() {
    const auto choice = random_() % 8;
    if (choice < 6) {
      change();
    } else if (choice == 6) {
      now_ += some_time();
      run();
    } else {
      run_next();
    }
    ASSERT_EQ(wheel_.empty(), armed_.empty());
    ASSERT_EQ(wheel_.next(), armed_.empty() ? Timer::kNever : std::get<TimePoint>(*armed_.begin()));
  }

 private:
  using Key = std::tuple<TimePoint, std::uint64_t, std::size_t>;                   // when, the how manieth armed, which
  static constexpr std::array<int, 8> kMagnitudes{4, 12, 20, 24, 29, 37, 45, 53};  // 53 bits of nanoseconds: 104 days

  // From nothing to months, all magnitudes alike.
  nanoseconds some_time() {
    return nanoseconds(random_() >> (64 - 1 - static_cast<int>(random_() % static_cast<unsigned>(magnitude_))));
  }
  std::size_t any() { return static_cast<std::size_t>(random_() % timers_.size()); }

  TimePoint some_due() {
    switch (random_() % 8) {
      case 0:
        return std::get<TimePoint>(keys_[any()]);  // as another, perhaps long ago
      case 1:
        return now_;
      case 2:
        return now_ - some_time();
      case 3:
        return std::chrono::floor<std::chrono::milliseconds>(now_ + some_time());
      case 4:
        return random_() % 16 == 0 ? Timer::kNever : now_ + some_time();
      default:
        return now_ + some_time();
    }
  }

  void forget(std::size_t which) {
    armed_.erase(keys_[which]);
    running_.erase(keys_[which]);
  }

  // Arms a timer, which may be armed already, or disarms one, which need not be armed.
  void change() {
    const std::size_t which = any();
    forget(which);
    if (random_() % 4 == 0) return wheel_.disarm(*timers_[which]);
    const TimePoint due = some_due();
    keys_[which] = {due, ++arms_, which};
    if (due != Timer::kNever) armed_.insert(keys_[which]);
    wheel_.arm(*timers_[which], due);
    ASSERT_EQ(timers_[which]->armed(), due != Timer::kNever);
  }

  void run() {
    const auto end = armed_.upper_bound({now_, ~std::uint64_t{0}, 0});
    running_.insert(armed_.begin(), end);
    armed_.erase(armed_.begin(), end);
    wheel_.run(now_);
    ASSERT_EQ(running_.size(), 0u) << "these are due and did not run";
  }

  // What an idle loop does.
  void run_next() {
    if (armed_.empty()) return;
    now_ = std::max(now_, wheel_.next());
    const auto before = runs_;
    run();
    ASSERT_GT(runs_, before) << "a wake-up that runs nothing";
  }

  void on_timer(std::size_t which, TimePoint now) {
    ++runs_;
    ASSERT_EQ(now, now_);
    ASSERT_FALSE(timers_[which]->armed());
    ASSERT_TRUE(running_.contains(keys_[which])) << "it was not due, or was disarmed or armed anew in this run";
    ASSERT_EQ(keys_[which], *running_.begin()) << "others come first";
    running_.erase(running_.begin());
    for (auto more = random_() % 4; more > 1; --more) change();
  }

  std::mt19937_64 random_;
  const int magnitude_;
  TimePoint now_ = TimePoint(1000h);
  TimerWheel wheel_{now_};
  std::vector<std::unique_ptr<TestTimer>> timers_;
  std::vector<Key> keys_;  // of each timer, as it was armed last
  std::set<Key> armed_;
  std::set<Key> running_;  // were due when the run began, and have yet to run
  std::uint64_t arms_ = 0;
  std::uint64_t runs_ = 0;
};

class TimerWheelModelTest : public testing::Test {
 protected:
  test::Watchdog watchdog_{"TimerWheelModelTest", test::kWatchdogLimit};
};

TEST_F(TimerWheelModelTest, DoesWhatASortedSetDoes) {
  constexpr std::uint64_t kOperations = 20'000;  // of a round
  constexpr std::array<std::size_t, 5> kTimers{1, 3, 20, 300, 3'000};
  const test::Enough enough(test::kSanitized ? 40 : 200);  // 4,000,000 operations, and those of callbacks
  for (std::uint64_t seed = 0; !enough.reached(seed); ++seed) {
    Rounds rounds(seed, kTimers[static_cast<std::size_t>(seed % kTimers.size())]);
    for (std::uint64_t i = 0; i != kOperations; ++i) {
      rounds.operate();
      if (HasFailure()) FAIL() << "seed " << seed << ", operation " << i;
    }
  }
}

// As many as a server with an idle timeout for each of its connections has, some of which end before.
TEST_F(TimerWheelModelTest, AnIdleLoopWakesUpForTimersThatAreDueAlone) {
  constexpr std::size_t kTimers = 10'000;
  for (const nanoseconds span : {nanoseconds(1ms), nanoseconds(1min), nanoseconds(24h * 365)}) {
    std::mt19937_64 random(kTimers);
    TimerWheel wheel{TimePoint(1000h)};
    std::vector<TestTimer> timers(kTimers);
    std::size_t ran = 0;
    const auto disarm_all = [&](const TimerWheel*) {
      for (TestTimer& timer : timers) wheel.disarm(timer);
    };
    const std::unique_ptr<TimerWheel, decltype(disarm_all)> at_end(&wheel, disarm_all);
    for (TestTimer& timer : timers) {
      timer.run = [&](TimePoint) { ++ran; };
      wheel.arm(timer, TimePoint(1000h) + nanoseconds(random() % static_cast<std::uint64_t>(span.count())));
    }
    for (std::size_t i = 0; i < kTimers; i += 3) wheel.disarm(timers[i]);
    for (TimePoint next = wheel.next(); next != Timer::kNever; next = wheel.next()) {
      const std::size_t before = ran;
      wheel.run(next - 1ns);
      ASSERT_EQ(ran, before) << "early";
      ASSERT_EQ(wheel.next(), next) << "it has changed though nothing ran";
      wheel.run(next);
      ASSERT_GT(ran, before) << "a wake-up that runs nothing";
    }
    EXPECT_EQ(ran, kTimers - (kTimers + 2) / 3);
  }
}

}  // namespace
}  // namespace evio::internal
