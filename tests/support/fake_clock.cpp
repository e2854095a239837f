#include "tests/support/fake_clock.hpp"

#include <time.h>

#include <cstdio>
#include <cstdlib>

namespace evio::test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr Clock::time_point kStart{std::chrono::hours(1000)};

thread_local bool fake = false;
thread_local Clock::time_point time_now{};
thread_local int times_read = 0;

Clock::time_point real_now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return Clock::time_point(std::chrono::seconds(now.tv_sec) + nanoseconds(now.tv_nsec));
}

}  // namespace

// By its label: a function of C linkage may not return a class.
Clock::time_point wrapped_now() noexcept __asm__("__wrap__ZNSt6chrono3_V212steady_clock3nowEv");
Clock::time_point wrapped_now() noexcept {
  ++times_read;
  return fake ? time_now : real_now();
}

FakeClock::FakeClock() {
  fake = true;
  time_now = kStart;
  if (Clock::now() == kStart) return;
  std::fputs("FakeClock: link this test with WRAP ${steady_clock_now}\n", stderr);
  std::abort();
}

FakeClock::~FakeClock() { fake = false; }

int FakeClock::reads() const noexcept { return times_read; }

void FakeClock::advance(nanoseconds time) noexcept { time_now += time; }

}  // namespace evio::test
