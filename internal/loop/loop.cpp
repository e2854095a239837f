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
  reap();
  queue_.leave_thread();
  queue_.close();  // on this thread, which also destroys the functions that were posted too late to run
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

void Loop::dispatch(std::span<Pollable* const> ready) noexcept {
  const StopFlag& stop = stop_;
  for (Pollable* pollable : ready) {
    if (stop.is_set() && !stopping_) [[unlikely]]
      return;  // from a shutdown on nothing is read
    pollable->on_ready();
  }
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
  while (!closed_.empty()) {
    Endpoint& endpoint = closed_.front();
    closed_.remove(endpoint);
    const RefPtr<Endpoint> last(&endpoint);
  }
}

}  // namespace evio::internal
