/// What ends, or is told of, because nothing has moved for too long.
#include "internal/stream/stream_timeouts.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "internal/stream/stream.hpp"
#include "internal/stream/stream_host.hpp"

namespace evio::internal {
namespace {

using std::chrono::nanoseconds;

// While output waits, the kernel is asked so many times in a timeout what the peer has acknowledged: it reports only
// that the socket can be written to again, which a slow reader may put off for minutes.
constexpr int kLooks = 4;

Timer::TimePoint after(Timer::TimePoint time, nanoseconds delay) noexcept {
  return delay < Timer::kNever - time ? time + delay : Timer::kNever;
}

std::string_view name_of(Timeout what) noexcept {
  switch (what) {
    case Timeout::Idle:
      return "idle timeout";
    case Timeout::Write:
      return "write timeout";
    case Timeout::Deadline:
      break;
  }
  return "deadline";
}

// The shorter of two timeouts, of which 0 is none.
nanoseconds shorter(nanoseconds a, nanoseconds b) noexcept {
  if (a.count() <= 0) return b;
  return b.count() <= 0 ? a : std::min(a, b);
}

}  // namespace

void StreamTimeouts::on_timer(TimePoint now) noexcept { stream_.on_timeout(now); }

// Throws std::bad_alloc.
StreamTimeouts& Stream::timeouts() {
  if (timeouts_ == nullptr) {
    timeouts_ = std::make_unique<StreamTimeouts>(*this);
    timeouts_->progress = timeouts_->output_progress = Timer::Clock::now();
    state_.output |= kTimeouts;
  }
  return *timeouts_;
}

void Stream::end_timeouts() noexcept {
  if (timeouts_ == nullptr) return;
  host_.loop_.timers().disarm(*timeouts_);
  timeouts_.reset();
  state_.output &= static_cast<std::uint8_t>(~kTimeouts);
}

// Throws std::bad_alloc.
void Stream::apply_timeouts(const Options& options) {
  if (options.idle_timeout.count() <= 0 && options.write_timeout.count() <= 0) return;
  StreamTimeouts& mine = timeouts();
  mine.idle = std::max(nanoseconds(0), options.idle_timeout);
  mine.write = std::max(nanoseconds(0), options.write_timeout);
  if (mine.write.count() > 0) state_.output |= kTimed;
  arm_timeouts();
}

// The kernel has taken output, or some begins to wait.
void Stream::output_progressed() noexcept {
  if (timeouts_ == nullptr) return;
  timeouts_->output_moved(host_.loop_.turn_time());
  if (timeouts_->write.count() > 0) write_waits_ = true;
  arm_timeouts();
}

void Stream::look_at_acknowledgements(TimePoint now) noexcept {
  // Of a unix socket it is what the peer has not read: that tells whether it goes on reading, and no more.
  const int left = has_pending() ? transport_.unacknowledged() : unacknowledged();
  if (timeouts_->acknowledgements.progressed(left)) timeouts_->progress = timeouts_->output_progress = now;
  if (left == 0 && !has_pending()) write_waits_ = false;
}

// How long a closing connection may go on without progress; 0: for ever.
nanoseconds Stream::close_limit() const noexcept { return shorter(host_.events_.close_timeout, timeouts_->write); }

// For the first of what may be due. A timeout that turns out to be too early is armed again.
void Stream::arm_timeouts() noexcept {
  const StreamTimeouts& mine = *timeouts_;
  nanoseconds limit{0};
  TimePoint due = Timer::kNever;
  if (is_closing()) {
    if (closes_) limit = close_limit();
    if (limit.count() > 0) due = after(mine.output_progress, limit);
  } else {
    limit = shorter(mine.idle, mine.write);
    due = mine.deadline;
    if (mine.idle.count() > 0) due = std::min(due, after(mine.progress, mine.idle));
    if (write_waits_) due = std::min(due, after(mine.output_progress, mine.write));
  }
  const bool looks = limit.count() > 0 && (has_pending() || (write_waits_ && !is_unix()));
  if (looks) due = std::min(due, after(host_.loop_.turn_time(), limit / kLooks));
  if (!timeouts_->armed() || due < timeouts_->due()) host_.loop_.timers().arm(*timeouts_, due);
}

// Throws std::bad_alloc.
void Stream::set_deadline(TimePoint deadline) {
  if (is_closing() || (timeouts_ == nullptr && deadline == Timer::kNever)) return;
  timeouts();
  timeouts_->deadline = deadline;
  arm_timeouts();
}

// A close was asked for, and output is still pending. Throws std::bad_alloc.
void Stream::watch_close() {
  if (closes_) return;
  timeouts();
  closes_ = true;
  timeouts_->output_progress = Timer::Clock::now();
  timeouts_->acknowledgements.forget();
  host_.loop_.timers().disarm(*timeouts_);
  arm_timeouts();
}

void Stream::on_timeout(TimePoint now) noexcept {
  EVIO_ASSERT(is_open());
  timeouts_->progress = host_.loop_.end_of_turn(timeouts_->progress);
  timeouts_->output_progress = host_.loop_.end_of_turn(timeouts_->output_progress);
  if (has_pending() || write_waits_) look_at_acknowledgements(now);
  const auto over = [now](TimePoint since, nanoseconds limit) {
    return limit.count() > 0 && after(since, limit) <= now;
  };
  if (is_closing()) {
    if (closes_ && over(timeouts_->output_progress, close_limit())) return run(Step::kCloseTimeout);
  } else if (timeouts_->deadline <= now) {
    timeouts_->deadline = Timer::kNever;
    return run(Step::kDeadline);
  } else if (write_waits_ && over(timeouts_->output_progress, timeouts_->write)) {
    return run(Step::kWriteTimeout);
  } else if (over(timeouts_->progress, timeouts_->idle)) {
    if (!moved_meanwhile()) return run(Step::kIdleTimeout);
    timeouts_->progress = now;
  }
  arm_timeouts();
}

// There is input that the loop has still to read, or a slow reader has taken in output that the kernel holds.
bool Stream::moved_meanwhile() noexcept {
  const bool reads = state_.interest == Interest::kRead || state_.interest == Interest::kReadWrite;
  if (reads && transport_.unread() > 0) return true;
  return !is_unix() && timeouts_->acknowledgements.progressed(unacknowledged());
}

Stream::Step Stream::time_out(Timeout what) {
  // What others have sent meanwhile leaves before what the callback adds.
  if (has_requests()) put_requests_first();
  if (!is_open()) return Step::kWait;
  if (is_closing()) return next_step_slow();
  host_.figures_.timers.add(1);
  if (!host_.events_.timeout) {
    end_by_timeout(what);
    return what == Timeout::Write ? reset() : next_step_slow();
  }
  const Step next = call([&] {
    const Action action = host_.events_.timeout(handle(), what, host_.out_);
    if (action == Action::Close) count_timed_out();
    if (what == Timeout::Write && action == Action::Close) {
      end_by_timeout(what);
      state_.output |= kAborted;
    }
    return action;
  });
  if (is_open() && !is_closing()) {
    if (what != Timeout::Deadline) timeouts_->progress = timeouts_->output_progress = Timer::Clock::now();
    arm_timeouts();
  }
  return next;
}

void Stream::end_by_timeout(Timeout what) noexcept {
  fail_timed_out(name_of(what));
  request_end(Action::Close);
}

// Behind a close nothing has moved for too long.
Stream::Step Stream::time_out_close() noexcept {
  fail_timed_out("close timeout");
  return reset();
}

// Once, however many timeouts it takes.
void Stream::count_timed_out() noexcept {
  if (!timed_out_) host_.figures_.timed_out.add(1);
  timed_out_ = true;
}

void Stream::fail_timed_out(std::string_view which) noexcept try {
  count_timed_out();
  if (has_failed()) return;
  const auto code = std::make_error_code(std::errc::timed_out);
  fail(Error(code, describe() + ": " + std::string(which) + ": " + code.message()));
} catch (const std::bad_alloc&) {
  set_failure(Error(std::make_error_code(std::errc::timed_out), {}));
}

}  // namespace evio::internal
