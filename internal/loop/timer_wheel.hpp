#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "internal/base/assert.hpp"

namespace evio::internal {

/// A place in a ring of timers, whose head is no timer. Thread-safety: one thread.
struct TimerLink {
  TimerLink* previous = nullptr;
  TimerLink* next = nullptr;
};

/// Something to do at a time. It belongs to its owner, which disarms it before it ends.
/// Thread-safety: its loop's thread.
class Timer : private TimerLink {
 public:
  using Clock = std::chrono::steady_clock;
  using TimePoint = Clock::time_point;
  static constexpr TimePoint kNever = TimePoint::max();

  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool armed() const noexcept { return next != nullptr; }
  /// While it is armed.
  TimePoint due() const noexcept { return due_; }

 protected:
  ~Timer() { EVIO_ASSERT(!armed()); }
  /// Called once it is due, and disarmed: it may be armed again. `now` is when the turn's timers began to run.
  virtual void on_timer(TimePoint now) noexcept = 0;

 private:
  friend class TimerWheel;

  TimePoint due_{};
  TimerLink followers_;  // a ring of timers that run after it
};

/// Timer of an object, which it calls: MemberTimer<&Acceptor::resume> timer_{*this}.
template <auto method>
class MemberTimer;

template <class Owner, void (Owner::*method)(Timer::TimePoint) noexcept>
class MemberTimer<method> final : public Timer {
 public:
  explicit MemberTimer(Owner& owner) noexcept : owner_(owner) {}

 private:
  void on_timer(TimePoint now) noexcept override { (owner_.*method)(now); }
  Owner& owner_;
};

/// The timers of one loop, in a hierarchical timing wheel (Varghese and Lauck, 1987): arming and disarming take the
/// same short time however many there are, and neither allocates.
///
/// Time is cut into ticks of about a millisecond. A timer lies in the slot of the highest of four base-256 digits in
/// which its tick differs from the current one, and moves to a lower level when the current tick reaches its slot. So
/// a timer moves three times at most. Timers run in the order of their times, then of arming, and never early: a tick
/// only says where a timer lies.
///
/// A loop sleeps until the first timer is due, not until its slot begins, where it would wake up only to move timers.
/// So a slot is a ring of pairing heaps (Fredman, Sedgewick, Sleator and Tarjan, 1986). Arming appends a heap of one;
/// disarming leaves a timer's followers in its place. Only when it is asked for the first timer of a slot does the
/// wheel join the slot's heaps to one: what was compared once is not compared again, however often the first timer is
/// disarmed. In a walk through the heaps, each timer before its followers, those of one time are always in the order
/// of their arming.
/// Thread-safety: its loop's thread.
class TimerWheel {
 public:
  using TimePoint = Timer::TimePoint;

  explicit TimerWheel(TimePoint now = Timer::Clock::now()) noexcept;
  ~TimerWheel() { EVIO_ASSERT(count_ == 0); }
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  bool empty() const noexcept { return count_ == 0; }
  /// Sets the timer, anew if it is armed. kNever is never: then it is disarmed.
  void arm(Timer& timer, TimePoint due) noexcept;
  void disarm(Timer& timer) noexcept;
  /// When the first timer is due. kNever when there is none.
  TimePoint next() noexcept;
  /// How many timers one run() runs: the others of its loop want their turn.
  static constexpr std::size_t kMostAtOnce = 1000;

  /// Runs the timers that are due, kMostAtOnce at most: what is left is next() at once. One that a timer arms waits for
  /// the next run().
  void run(TimePoint now) noexcept;

 private:
  static constexpr int kTickBits = 20;  // 1.05 ms
  static constexpr int kDigitBits = 8;
  static constexpr std::size_t kSlots = 1 << kDigitBits;
  static constexpr std::size_t kLevels = 4;  // 52 days; what is later waits in far_
  using Tick = std::uint64_t;

  static Tick tick_of(TimePoint time) noexcept;
  static void make_empty(TimerLink& ring) noexcept { ring.previous = ring.next = &ring; }
  static bool is_empty(const TimerLink& ring) noexcept { return ring.next == &ring; }
  static void unlink(TimerLink& link) noexcept;
  static void append(TimerLink& ring, TimerLink& link) noexcept;
  static void splice(TimerLink& from, TimerLink& to) noexcept;
  static void take_out(Timer& timer) noexcept;
  static TimerLink& join(TimerLink& left, TimerLink& right) noexcept;
  static Timer& first_of(TimerLink& ring) noexcept;
  static Timer& timer_of(TimerLink& link) noexcept { return static_cast<Timer&>(link); }

  struct Slot {
    std::size_t level = kLevels;  // kLevels: far_, or nothing
    Tick start = ~Tick{0};
  };

  void insert(Timer& timer) noexcept;
  Slot first_slot() noexcept;
  TimerLink& ring_of(const Slot& slot) noexcept;
  void cascade(TimerLink& ring) noexcept;
  bool collect_due(TimerLink& ring, TimePoint now, TimerLink& due, std::size_t& left) noexcept;
  void advance(TimePoint now, TimerLink& due) noexcept;

  std::array<std::array<TimerLink, kSlots>, kLevels> rings_;
  std::array<std::array<std::uint64_t, kSlots / 64>, kLevels> used_{};  // slots that may hold timers
  TimerLink far_;
  Tick current_;                    // what is before it has run
  TimePoint next_ = Timer::kNever;  // the result of next(), while it is known
  bool next_known_ = true;
  std::size_t count_ = 0;
};

}  // namespace evio::internal
