#include "internal/loop/loop.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "internal/loop/timed_task.hpp"

namespace evio::internal {

using std::chrono::nanoseconds;

namespace {

// What moved in a turn is said to have moved when it began. In a longer turn a callback has blocked.
constexpr std::chrono::microseconds kShortTurn{100};

// Once connections that move much have moved so many bytes, in and out, the loop looks who else has become ready. Where
// nobody else was for so many turns it looks less often: a wait for each 256 KiB costs some hundredths of its time.
constexpr std::uint64_t kBulkBudget = 256 * 1024;
constexpr std::uint64_t kLoneBulkBudget = 2 * 1024 * 1024;
constexpr int kLoneTurns = 64;

}  // namespace

Loop::Loop(int index, std::unique_ptr<Poller> poller, const StopFlag& stop, std::shared_ptr<Figures> figures)
    : index_(index),
      stop_(stop),
      poller_(std::move(poller)),
      shared_queue_(new NoteQueue(index, *poller_, std::move(figures))),
      queue_(*shared_queue_),
      figures_(queue_.figures()) {
  poller_->count_wake_ups(figures_.wake_ups);
}

void Loop::run(LoopHandler& handler) noexcept {
  handler_ = &handler;
  queue_.enter_thread();
  do {
    turn();
  } while (!stopping_ || !handler.done());
  handler.on_end();
  queue_.leave_thread();
  close();  // on this thread, which also ends what was posted too late
}

void Loop::close() noexcept {
  queue_.close();
  reap();
}

// Inlined: a call in each turn is not free where a turn has one message.
inline void Loop::dispatch(std::span<Pollable* const> ready) noexcept {
  const StopFlag& stop = stop_;
  for (Pollable* pollable : ready) {
    if (stop.is_set() && !stopping_) [[unlikely]]
      break;  // from a shutdown on nothing is read
    pollable->on_ready();
  }
  if (put_off_count_ != 0) [[unlikely]]
    dispatch_put_off(ready.size() != put_off_count_);
}

void Loop::turn() noexcept {
  const Ready ready = poller_->wait(time_to_wait());
  figures_.turns.add(1);
  if (timers_.empty()) {
    knows_turn_time_ = false;
  } else {
    begin_turn();
  }
  for (Pollable* listener : ready.listeners) listener->on_ready();
  // Notes come before the connections: what was sent before a peer's next request leaves before the answer to it.
  if (has_work_ || queue_.armed() || has_work()) handle_notes();
  dispatch(ready.others);
  if (!timers_.empty()) timers_.run(turn_time_);
  reap();  // before it looks what is left to do: a function that is destroyed may send, or post another
  // What has come by now waits for the next turn, which accepts first: a callback may block.
  has_work_ = has_work() || (queue_.armed() && !queue_.prepare_wait());
}

bool Loop::puts_off(Pollable& bulk, std::uint16_t last_turn) noexcept {
  if (takes_put_off_ || put_off_count_ == put_off_.size()) return false;
  put_off_[put_off_count_++] = {&bulk, last_turn};
  return true;
}

// One at least, first the one whose last turn was the longest ago: so each gets one before any gets two.
void Loop::dispatch_put_off(bool others) noexcept {
  lone_turns_ = others ? 0 : std::min(lone_turns_ + 1, kLoneTurns);
  const auto moved = [this] { return figures_.bytes_read.value() + figures_.bytes_written.value(); };
  const auto age = [this](const PutOff& one) { return static_cast<std::uint16_t>(turns() - one.last_turn); };
  const std::uint64_t enough = moved() + (lone_turns_ == kLoneTurns ? kLoneBulkBudget : kBulkBudget);
  takes_put_off_ = true;
  while (put_off_count_ != 0 && moved() < enough && !ends_reading()) {
    PutOff& oldest = *std::ranges::max_element(std::span(put_off_).first(put_off_count_), {}, age);
    Pollable& pollable = *oldest.pollable;
    oldest = put_off_[--put_off_count_];
    pollable.on_ready();
  }
  takes_put_off_ = false;
  put_off_count_ = 0;  // they are ready still, and so reported again
}

// What was there at the beginning, and no more: a producer that never stops must not keep the loop from its sockets.
bool Loop::handle_notes() noexcept {
  EVIO_ASSERT(on_thread());
  handle(queue_.take_signals());
  local_notes_.swap(queue_.local());
  const std::size_t count = queue_.pop_bulk(notes_);
  more_notes_ = count == notes_.size();
  const bool any = count != 0 || !local_notes_.empty();
  figures_.notes.add(count + local_notes_.size());
  for (Note& note : local_notes_) handle(std::move(note));
  local_notes_.clear();
  for (Note& note : std::span(notes_).first(count)) handle(std::move(note));
  return any;
}

void Loop::handle(Note note) noexcept {
  NoteTarget& target = *note.about;
  switch (note.kind) {
    case Note::Kind::kRequest:
      return target.on_request();
    case Note::Kind::kContinue:
      return target.on_continue();
    case Note::Kind::kFlush:
      return target.on_flush();
    case Note::Kind::kAdopt:
      return target.on_adopt(std::move(note.about));
    case Note::Kind::kAbort:
      return target.on_abort();
  }
}

void Loop::handle(Signal signals) noexcept {
  if (contains(signals, Signal::kStopping)) handler_->on_stopping();
  // The flag is set just before the signal is posted, which may still be to come.
  if (stop_.is_set() && !stopping_) {
    stopping_ = true;
    handler_->on_shutdown();
  }
  if (contains(signals, Signal::kTick)) handler_->on_tick();
  if (contains(signals, Signal::kSweep)) handler_->on_sweep();
  if (contains(signals, Signal::kListen)) handler_->on_listen();
  if (contains(signals, Signal::kDrain)) handler_->on_drain();
}

// Notes that are left, or that the loop's own callbacks have posted, or a shutdown that has not begun here.
bool Loop::has_work() const noexcept {
  return more_notes_ || !queue_.local().empty() || (stop_.is_set() && !stopping_);
}

nanoseconds Loop::time_to_wait() noexcept {
  if (has_work_) return nanoseconds(0);
  const Timer::TimePoint next = timers_.next();
  if (next == Timer::kNever) return nanoseconds(-1);
  const TimePoint now = Clock::now();
  end_turn(now);
  return std::max(nanoseconds(0), nanoseconds(next - now));
}

void Loop::begin_turn() noexcept {
  const TimePoint now = Clock::now();
  if (has_work_) end_turn(now);  // it has not waited
  turn_time_ = now;
  knows_turn_time_ = true;
}

Loop::TimePoint Loop::late_turn_time() noexcept {
  turn_time_ = Clock::now();
  knows_turn_time_ = true;
  return turn_time_;
}

void Loop::end_turn(TimePoint now) noexcept {
  if (!knows_turn_time_ || now - turn_time_ < kShortTurn) return;
  long_turns_[next_long_turn_] = {turn_time_, now};
  next_long_turn_ = (next_long_turn_ + 1) % long_turns_.size();
}

Loop::TimePoint Loop::end_of_turn(TimePoint began) const noexcept {
  const auto turn = std::ranges::find(long_turns_, began, &LongTurn::began);
  return turn == long_turns_.end() ? began : turn->ended;
}

void Loop::release_later(RefPtr<TimedTask> cancelled) noexcept { cancelled_.add(*cancelled.detach()); }

void Loop::reap() noexcept {
  while (!cancelled_.empty()) {
    TimedTask& task = cancelled_.front();
    cancelled_.remove(task);
    const RefPtr<TimedTask> last(&task);
    task.drop();
  }
  while (!ended_.empty()) {
    EndsWithTurn& ended = ended_.front();
    ended_.remove(ended);
    ended.on_turn_end();
  }
  while (!closed_.empty()) {
    Endpoint& endpoint = closed_.front();
    closed_.remove(endpoint);
    const RefPtr<Endpoint> last(&endpoint);
  }
}

}  // namespace evio::internal
