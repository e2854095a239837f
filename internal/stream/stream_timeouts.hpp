#pragma once

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "internal/base/recycled.hpp"
#include "internal/loop/timer_wheel.hpp"

namespace evio::internal {

class Stream;

/// How far the peer's acknowledgements have come, as far as was looked. Thread-safety: its loop's thread.
class Acknowledgements {
 public:
  /// The kernel has taken more: what was seen before counts no more.
  void forget() noexcept { left_ = kUnknown; }
  /// So many bytes are unacknowledged now. True if the peer has acknowledged some since the last look, or may have: the
  /// kernel has taken more since then, or nobody has looked before. Nothing left at the first look is no progress.
  bool progressed(int left) noexcept {
    const int before = std::exchange(left_, left);
    return left != before && (left != 0 || before != kUnknown);
  }

 private:
  static constexpr int kUnknown = std::numeric_limits<int>::max();
  int left_ = kUnknown;
};

/// The timeouts of one connection that has some, and the timer for the first of them. A message only stores the time of
/// its turn here; when the timer fires too early for that, it is armed again for the rest.
/// Thread-safety: its loop's thread.
class StreamTimeouts final : public Timer, public Recycled<StreamTimeouts> {
 public:
  using Duration = std::chrono::nanoseconds;

  explicit StreamTimeouts(Stream& stream) noexcept : stream_(stream) {}

  Duration idle{0};  // 0, here and below: none
  Duration write{0};
  TimePoint deadline = kNever;
  TimePoint progress{};         // when something last moved, in either direction
  TimePoint output_progress{};  // when the kernel has last taken output, or the peer acknowledged some
  Acknowledgements acknowledgements;

  /// The kernel has taken output in the turn of this time, or some begins to wait.
  void output_moved(TimePoint turn) noexcept {
    progress = output_progress = std::max(turn, output_progress);
    acknowledgements.forget();
  }

 private:
  void on_timer(TimePoint now) noexcept override;

  Stream& stream_;
};

}  // namespace evio::internal
