#include "internal/loop/timer_wheel.hpp"

#include <algorithm>
#include <bit>

namespace evio::internal {

TimerWheel::TimerWheel(TimePoint now) noexcept : current_(tick_of(now)) {
  for (auto& level : rings_) {
    for (TimerLink& ring : level) make_empty(ring);
  }
  make_empty(far_);
}

TimerWheel::Tick TimerWheel::tick_of(TimePoint time) noexcept {
  const auto since_boot = std::chrono::nanoseconds(time.time_since_epoch()).count();
  return since_boot < 0 ? 0 : static_cast<Tick>(since_boot) >> kTickBits;
}

TimerWheel::TimePoint TimerWheel::start_of(Tick tick) noexcept {
  return TimePoint(std::chrono::nanoseconds(static_cast<std::int64_t>(tick << kTickBits)));
}

void TimerWheel::unlink(TimerLink& link) noexcept {
  link.previous->next = link.next;
  link.next->previous = link.previous;
  link.previous = link.next = nullptr;
}

void TimerWheel::append(TimerLink& ring, TimerLink& link) noexcept {
  link.previous = ring.previous;
  link.next = &ring;
  link.previous->next = link.next->previous = &link;
}

// Moves all of one ring to the end of the other.
void TimerWheel::splice(TimerLink& from, TimerLink& to) noexcept {
  if (is_empty(from)) return;
  to.previous->next = from.next;
  from.next->previous = to.previous;
  from.previous->next = &to;
  to.previous = from.previous;
  make_empty(from);
}

bool TimerWheel::runs_before(const Timer& a, const Timer& b) noexcept {
  return a.due_ != b.due_ ? a.due_ < b.due_ : a.order_ < b.order_;
}

// A merge sort, as it needs no memory.
void TimerWheel::sort(TimerLink& ring, std::size_t count) noexcept {
  if (count < 2) return;
  TimerLink front;
  make_empty(front);
  for (std::size_t i = 0; i != count / 2; ++i) {
    TimerLink& link = *ring.next;
    unlink(link);
    append(front, link);
  }
  sort(front, count / 2);
  sort(ring, count - count / 2);
  TimerLink merged;
  make_empty(merged);
  while (!is_empty(front) && !is_empty(ring)) {
    TimerLink& link = runs_before(timer_of(*ring.next), timer_of(*front.next)) ? *ring.next : *front.next;
    unlink(link);
    append(merged, link);
  }
  splice(front, merged);
  splice(ring, merged);
  splice(merged, ring);
}

void TimerWheel::insert(Timer& timer) noexcept {
  const Tick tick = std::max(tick_of(timer.due_), current_);
  const auto highest = static_cast<std::size_t>(std::bit_width(tick ^ current_));
  const std::size_t level = highest == 0 ? 0 : (highest - 1) / kDigitBits;
  if (level >= kLevels) return append(far_, timer);
  const std::size_t slot = (tick >> (level * kDigitBits)) % kSlots;
  used_[level][slot / 64] |= std::uint64_t{1} << slot % 64;
  append(rings_[level][slot], timer);
}

void TimerWheel::arm(Timer& timer, TimePoint due) noexcept {
  disarm(timer);
  if (due == Timer::kNever) return;
  timer.due_ = due;
  timer.order_ = armed_++;
  insert(timer);
  ++count_;
  if (next_known_) next_ = std::min(next_, due);
}

void TimerWheel::disarm(Timer& timer) noexcept {
  if (!timer.armed()) return;
  unlink(timer);
  --count_;
  if (count_ == 0 || timer.due_ == next_) next_known_ = false;
}

// The first slot that holds timers, and the tick with which it begins. No slot of a higher level begins before one of a
// lower level: a digit further up differs.
TimerWheel::Slot TimerWheel::first_slot() noexcept {
  for (std::size_t level = 0; level != kLevels; ++level) {
    const std::size_t shift = level * kDigitBits;
    for (std::size_t word = (current_ >> shift) % kSlots / 64; word != kSlots / 64; ++word) {
      while (used_[level][word] != 0) {
        const std::size_t slot = word * 64 + static_cast<std::size_t>(std::countr_zero(used_[level][word]));
        if (!is_empty(rings_[level][slot])) {
          const Tick above = current_ >> shift >> kDigitBits;
          return {level, ((above << kDigitBits) + slot) << shift};
        }
        used_[level][word] &= used_[level][word] - 1;
      }
    }
  }
  constexpr std::size_t kAll = kLevels * kDigitBits;
  if (is_empty(far_)) return {};
  return {kLevels, ((current_ >> kAll) + 1) << kAll};
}

TimerLink& TimerWheel::ring_of(const Slot& slot) noexcept {
  if (slot.level == kLevels) return far_;
  return rings_[slot.level][(slot.start >> (slot.level * kDigitBits)) % kSlots];
}

TimerWheel::TimePoint TimerWheel::next() noexcept {
  if (next_known_) return next_;
  next_ = Timer::kNever;
  next_known_ = true;
  if (empty()) return next_;
  const Slot slot = first_slot();
  if (slot.level != 0) return next_ = start_of(slot.start);  // when its timers move to a lower level
  const TimerLink& ring = ring_of(slot);
  for (TimerLink* link = ring.next; link != &ring; link = link->next) next_ = std::min(next_, timer_of(*link).due_);
  return next_;
}

void TimerWheel::cascade(TimerLink& ring) noexcept {
  TimerLink moved;
  make_empty(moved);
  splice(ring, moved);
  while (!is_empty(moved)) {
    TimerLink& link = *moved.next;
    unlink(link);
    insert(timer_of(link));
  }
}

// Moves what is due from a slot of the lowest level to `due`, in order. True when that is all of it.
bool TimerWheel::collect_due(TimerLink& ring, TimePoint now, TimerLink& due) noexcept {
  TimerLink found;
  make_empty(found);
  std::size_t count = 0;
  for (TimerLink *link = ring.next, *next = nullptr; link != &ring; link = next) {
    next = link->next;
    if (timer_of(*link).due_ > now) continue;
    unlink(*link);
    append(found, *link);
    ++count;
  }
  sort(found, count);
  splice(found, due);
  return is_empty(ring);
}

void TimerWheel::run(TimePoint now) noexcept {
  const Tick until = tick_of(now);
  TimerLink due;
  make_empty(due);
  for (;;) {
    const Slot slot = first_slot();
    if (slot.start > until) break;
    current_ = std::max(current_, slot.start);
    TimerLink& ring = ring_of(slot);
    if (slot.level != 0) {
      cascade(ring);
    } else if (!collect_due(ring, now, due)) {
      break;
    }
  }
  current_ = std::max(current_, until);
  next_known_ = false;
  while (!is_empty(due)) {
    Timer& timer = timer_of(*due.next);
    disarm(timer);
    timer.on_timer(now);
  }
}

}  // namespace evio::internal
