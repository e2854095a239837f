#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

namespace timers {

/// What one run of such a program does; from the command line.
struct Options {
  std::size_t armed = 1000;
  std::size_t times = 200'000;  // how often each thing is done, at least
};
Options parse(int argc, char** argv);

/// Nanoseconds of processor time that this process has used.
std::int64_t cpu_time();

using Nanoseconds = std::chrono::nanoseconds;

/// Arms, arms anew, cancels and lets expire, as an event loop's callbacks do it: a number of each in a turn. What the
/// turns cost counts.
///
/// `Timers` are a library's: Timers(number); arm(i, delay); arm_anew(i, delay) of one that is armed; cancel(i); and
/// run(step), which calls step() once a turn, on the loop, until it is false. One that is due adds 1 to `expired`.
/// Thread-safety: the loop's thread.
template <class Timers>
class Bench {
 public:
  explicit Bench(const Options& options) : options_(options), timers_(options.armed + 1) {
    // In an order that is not that of memory: that in which connections are heard.
    for (std::uint32_t& place : order_) place = static_cast<std::uint32_t>(random_() % options.armed);
    for (Nanoseconds& delay : delays_) delay = std::chrono::milliseconds(1'000 + random_() % 59'000);
  }

  void run() {
    timers_.run([this] { return step(); });
    const auto each = [](const Spent& spent) {
      return static_cast<double>(spent.ns) / static_cast<double>(spent.times);
    };
    std::printf("arm_ns=%.1f anew_ns=%.1f pair_ns=%.1f cancel_ns=%.1f expire_ns=%.1f\n", each(arm_), each(anew_),
                each(pair_), each(cancel_), each(expire_));
  }

 private:
  enum class Phase { kArm, kAnew, kPair, kCancel, kArmShort, kHold, kExpire };
  struct Spent {
    std::int64_t ns = 0;
    std::size_t times = 0;
  };
  static constexpr std::size_t kInATurn = 200;
  static constexpr std::size_t kTable = 1 << 20;
  static constexpr std::size_t kStride = 7919;  // a prime, so that all places are met once

  Nanoseconds delay(std::size_t i) const { return delays_[i % kTable]; }
  std::size_t place(std::size_t i) const { return order_[i % kTable]; }

  // The first round is not counted: it brings in the memory.
  bool step() {
    const std::size_t all = options_.armed;
    const std::size_t once = round_ == 1 ? options_.times : 0;
    switch (phase_) {
      case Phase::kArm:
        return part(all, &arm_, Phase::kAnew, [&](std::size_t i) { timers_.arm(i, delay(i + round_)); });
      case Phase::kAnew:
        return part(once, &anew_, Phase::kPair, [&](std::size_t i) { timers_.arm_anew(place(i), delay(i)); });
      case Phase::kPair:
        return part(once, &pair_, Phase::kCancel, [&](std::size_t i) {
          timers_.arm(all, delay(i));
          timers_.cancel(all);
        });
      case Phase::kCancel:
        return part(all, &cancel_, Phase::kArmShort, [&](std::size_t i) { timers_.cancel(i * kStride % all); });
      case Phase::kArmShort:
        return part(all, nullptr, Phase::kHold, [&](std::size_t i) {
          timers_.arm(i, span() + Nanoseconds(random_() % static_cast<std::uint64_t>(span().count())));
        });
      case Phase::kHold:
        hold_until_all_are_due();
        return true;
      case Phase::kExpire:
        return expire();
    }
    return false;
  }

  // A turn's work of a phase. The turn after its last one counts what that has left to do.
  template <class Do>
  bool part(std::size_t all, Spent* spent, Phase next, Do what) {
    if (done_ == 0) began_ = cpu_time();
    if (done_ == all) return end(all, spent, next);
    for (const std::size_t stop = std::min(all, done_ + kInATurn); done_ < stop; ++done_) what(done_);
    return true;
  }

  bool end(std::size_t all, Spent* spent, Phase next) {
    if (round_ > 0 && spent != nullptr) {
      spent->ns += cpu_time() - began_;
      spent->times += all;
    }
    done_ = 0;
    phase_ = next;
    return true;
  }

  // Longer than it takes to arm all of them: those that expire meanwhile are not counted.
  Nanoseconds span() const { return std::chrono::milliseconds(2) + options_.armed * std::chrono::microseconds(1); }

  void hold_until_all_are_due() {
    const auto until = std::chrono::steady_clock::now() + 2 * span() + std::chrono::milliseconds(2);
    while (std::chrono::steady_clock::now() < until) {
    }
    phase_ = Phase::kExpire;
    early_ = timers_.expired;
    began_ = cpu_time();
  }

  bool expire() {
    if (timers_.expired < options_.armed) return true;
    end(options_.armed - early_, &expire_, Phase::kArm);
    timers_.expired = 0;
    return ++round_ == 1 || arm_.times < options_.times;
  }

  const Options options_;
  std::mt19937_64 random_{1};
  std::vector<std::uint32_t> order_ = std::vector<std::uint32_t>(kTable);
  std::vector<Nanoseconds> delays_ = std::vector<Nanoseconds>(kTable);
  Timers timers_;
  Phase phase_ = Phase::kArm;
  std::size_t round_ = 0;
  std::size_t done_ = 0;
  std::size_t early_ = 0;
  std::int64_t began_ = 0;
  Spent arm_, anew_, pair_, cancel_, expire_;
};

}  // namespace timers
