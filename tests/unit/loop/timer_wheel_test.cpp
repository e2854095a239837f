// The timers of a loop: in order, never early, none lost, whatever is armed and disarmed.
#include "internal/loop/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::internal {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using TimePoint = Timer::TimePoint;

constexpr TimePoint at(nanoseconds since_start) { return TimePoint(1000h + since_start); }

class TestTimer final : public Timer {
 public:
  std::function<void(TimePoint)> run;

 private:
  void on_timer(TimePoint now) noexcept override {
    if (run) run(now);
  }
};

class TimerWheelTest : public testing::Test {
 protected:
  ~TimerWheelTest() override {
    for (const auto& timer : timers_) wheel_.disarm(*timer);
  }

  TestTimer& timer(std::string name) {
    TestTimer& timer = *timers_.emplace_back(std::make_unique<TestTimer>());
    timer.run = [this, name = std::move(name)](TimePoint) { ran_.push_back(name); };
    return timer;
  }
  std::vector<std::string> run(nanoseconds until) {
    ran_.clear();
    wheel_.run(at(until));
    return ran_;
  }
  using Names = std::vector<std::string>;

  test::Watchdog watchdog_{"TimerWheelTest", test::kWatchdogLimit};
  TimerWheel wheel_{at(0ns)};
  std::vector<std::unique_ptr<TestTimer>> timers_;
  Names ran_;
};

TEST_F(TimerWheelTest, RunsInTheOrderOfTimeThenOfArming) {
  wheel_.arm(timer("late"), at(3s));
  wheel_.arm(timer("first"), at(5ms));
  wheel_.arm(timer("second"), at(5ms));
  wheel_.arm(timer("a little before"), at(5ms - 1ns));
  EXPECT_EQ(run(5ms - 2ns), Names{});
  EXPECT_EQ(run(1h), (Names{"a little before", "first", "second", "late"}));
  EXPECT_TRUE(wheel_.empty());
  EXPECT_EQ(wheel_.next(), Timer::kNever);
}

TEST_F(TimerWheelTest, IsNeverEarlyWithinATick) {
  wheel_.arm(timer("x"), at(700us));
  EXPECT_EQ(wheel_.next(), at(700us));
  EXPECT_EQ(run(700us - 1ns), Names{});
  EXPECT_EQ(run(700us), Names{"x"});
}

TEST_F(TimerWheelTest, KeepsTheOrderOfOnesThatCameFromAHigherLevel) {
  wheel_.arm(timer("armed first"), at(10s));
  EXPECT_EQ(run(10s - 1ms), Names{});
  wheel_.arm(timer("armed later"), at(10s));
  EXPECT_EQ(run(10s), (Names{"armed first", "armed later"}));
}

TEST_F(TimerWheelTest, OneThatIsArmedMeanwhileWaitsForTheNextRun) {
  TestTimer& again = timer("");
  int runs = 0;
  again.run = [&](TimePoint now) {
    ++runs;
    wheel_.arm(again, now);
  };
  wheel_.arm(again, at(1ms));
  for (int i = 1; i <= 3; ++i) {
    wheel_.run(at(1ms));
    EXPECT_EQ(runs, i);
  }
}

// The rest is due at once, in its order, with what was armed meanwhile.
TEST_F(TimerWheelTest, AThousandRunAtOnceAndTheRestNextTime) {
  Names expected;
  for (int i = 0; i != 2'500; ++i) {
    const nanoseconds due = i < 1'500 ? nanoseconds(1s) : nanoseconds(2s) + nanoseconds(i);
    wheel_.arm(timer(expected.emplace_back(std::to_string(i))), at(due));
  }
  Names all = run(3s);
  EXPECT_EQ(all.size(), 1'000u);
  EXPECT_EQ(wheel_.next(), at(1s));
  wheel_.arm(timer("between"), at(1500ms));
  wheel_.arm(timer("last"), at(2500ms));
  expected.insert(expected.begin() + 1'500, "between");
  expected.emplace_back("last");
  for (const std::size_t size : {1'000u, 502u, 0u}) {
    const Names more = run(3s);
    EXPECT_EQ(more.size(), size);
    all.insert(all.end(), more.begin(), more.end());
  }
  EXPECT_EQ(all, expected);
  EXPECT_TRUE(wheel_.empty());
}

TEST_F(TimerWheelTest, OneMayDisarmAnotherThatIsDueToo) {
  TestTimer& other = timer("other");
  TestTimer& one = timer("");
  one.run = [&](TimePoint) { wheel_.disarm(other); };
  wheel_.arm(one, at(1ms));
  wheel_.arm(other, at(1ms));
  EXPECT_EQ(run(1s), Names{});
  EXPECT_TRUE(wheel_.empty());
}

TEST_F(TimerWheelTest, TakesTheFarthestTimes) {
  wheel_.arm(timer("never"), Timer::kNever);
  EXPECT_TRUE(wheel_.empty());
  wheel_.arm(timer("in a hundred years"), at(24h * 36'500));
  wheel_.arm(timer("long ago"), TimePoint(-5h));
  EXPECT_EQ(run(0ns), Names{"long ago"});
  EXPECT_EQ(run(24h * 36'500 - 1ns), Names{});
  EXPECT_EQ(run(24h * 36'500), Names{"in a hundred years"});
}

TEST_F(TimerWheelTest, AloneATimerCostsOneWakeUp) {
  TestTimer& earlier = timer("earlier");
  wheel_.arm(earlier, at(1ms));
  wheel_.arm(timer("x"), at(24h * 100));
  wheel_.disarm(earlier);
  int wake_ups = 0;
  for (TimePoint next = wheel_.next(); next != Timer::kNever; next = wheel_.next()) {
    wheel_.run(next);
    ++wake_ups;
  }
  EXPECT_EQ(ran_, Names{"x"});
  EXPECT_EQ(wake_ups, 1);
}

TEST_F(TimerWheelTest, NextIsTheTimeOfTheFirstThatIsStillArmed) {
  Timer& near = timer("near");
  Timer& far = timer("far");
  wheel_.arm(near, at(10ms));
  wheel_.arm(far, at(1100ms));
  wheel_.disarm(near);
  EXPECT_EQ(wheel_.next(), at(1100ms)) << "which is not where its slot begins";
  wheel_.disarm(far);
  EXPECT_EQ(wheel_.next(), Timer::kNever);
}

}  // namespace
}  // namespace evio::internal
