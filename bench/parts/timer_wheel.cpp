#include "internal/loop/timer_wheel.hpp"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <vector>

namespace {

using namespace std::chrono_literals;
using evio::internal::Timer;
using evio::internal::TimerWheel;
using std::chrono::nanoseconds;

constexpr Timer::TimePoint kStart(1000h);
constexpr std::size_t kTimes = 1 << 16;

class Nothing final : public Timer {
  void on_timer(TimePoint) noexcept override {}
};

std::size_t number(const benchmark::State& state) { return static_cast<std::size_t>(state.range(0)); }

/// Armed timers, and times to arm more at, from now to a minute away: idle timeouts, and those of answers awaited.
struct Armed {
  explicit Armed(std::size_t number) : timers(number) {
    for (Nothing& timer : timers) wheel.arm(timer, some_time());
    for (std::size_t i = 0; i != kTimes; ++i) times.push_back(some_time());
    // In the order in which connections are heard, which is not that of memory.
    for (std::size_t i = 0; i != kTimes; ++i) order.push_back(static_cast<std::uint32_t>(random() % number));
  }
  ~Armed() {
    for (Nothing& timer : timers) wheel.disarm(timer);
  }
  Timer::TimePoint some_time() {
    return kStart + nanoseconds(random() % static_cast<std::uint64_t>(nanoseconds(1min).count()));
  }

  std::mt19937_64 random{1};
  TimerWheel wheel{kStart};
  std::vector<Nothing> timers;
  std::vector<Timer::TimePoint> times;
  std::vector<std::uint32_t> order;
};

/// One more timer, beside as many as that.
void arm_and_disarm(benchmark::State& state) {
  Armed armed(number(state));
  Nothing timer;
  std::size_t i = 0;
  for (auto _ : state) {
    armed.wheel.arm(timer, armed.times[i++ % kTimes]);
    armed.wheel.disarm(timer);
  }
}
BENCHMARK(arm_and_disarm)->Arg(1'000)->Arg(1'000'000);

/// The same in a loop, which asks when it must wake up.
void arm_disarm_and_next(benchmark::State& state) {
  Armed armed(number(state));
  Nothing timer;
  std::size_t i = 0;
  for (auto _ : state) {
    armed.wheel.arm(timer, armed.times[i++ % kTimes]);
    benchmark::DoNotOptimize(armed.wheel.next());
    armed.wheel.disarm(timer);
    benchmark::DoNotOptimize(armed.wheel.next());
  }
}
BENCHMARK(arm_disarm_and_next)->Arg(1'000)->Arg(1'000'000);

/// Any of them is armed anew.
void arm_again(benchmark::State& state) {
  Armed armed(number(state));
  std::size_t i = 0;
  for (auto _ : state) {
    armed.wheel.arm(armed.timers[armed.order[i % kTimes]], armed.times[i % kTimes]);
    ++i;
  }
}
BENCHMARK(arm_again)->Arg(1'000)->Arg(1'000'000);

/// The first one is disarmed and armed anew as the last, and the loop asks for the next: the worst for a wheel that
/// looks for the first among many.
void first_goes_last(benchmark::State& state) {
  const std::size_t size = number(state);
  std::vector<Nothing> timers(size);
  TimerWheel wheel(kStart);
  auto due = kStart + 1h;
  for (Nothing& timer : timers) wheel.arm(timer, due += 1us);
  benchmark::DoNotOptimize(wheel.next());
  std::size_t i = 0;
  for (auto _ : state) {
    wheel.arm(timers[i], due += 1us);
    if (++i == size) i = 0;
    benchmark::DoNotOptimize(wheel.next());
  }
  for (Nothing& timer : timers) wheel.disarm(timer);
}
BENCHMARK(first_goes_last)->Arg(1'000)->Arg(1'000'000);

/// A turn in which none is due.
void turn_with_none_due(benchmark::State& state) {
  Armed armed(number(state));
  auto now = kStart;
  armed.wheel.run(now);
  for (auto _ : state) {
    benchmark::DoNotOptimize(armed.wheel.next());
    armed.wheel.run(now);
  }
}
BENCHMARK(turn_with_none_due)->Arg(1'000)->Arg(1'000'000);

/// All that were armed run, a millisecond's at a time.
void expire(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    {
      Armed armed(number(state));
      state.ResumeTiming();
      for (auto now = kStart; !armed.wheel.empty(); now += 1ms) armed.wheel.run(now);
      state.PauseTiming();
    }
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(expire)->Arg(1'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

/// As many in one millisecond.
void expire_at_once(benchmark::State& state) {
  std::mt19937_64 random(1);
  std::vector<Nothing> timers(number(state));
  for (auto _ : state) {
    state.PauseTiming();
    TimerWheel wheel(kStart);
    for (Nothing& timer : timers) wheel.arm(timer, kStart + 1s + nanoseconds(random() % 1'000'000));
    state.ResumeTiming();
    wheel.run(kStart + 2s);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(expire_at_once)->Arg(1'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

}  // namespace
