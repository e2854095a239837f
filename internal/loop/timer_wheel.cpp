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

// Moves all of one ring to the other, before a place in it: the head, for its end.
void TimerWheel::splice(TimerLink& from, TimerLink& to) noexcept {
  if (is_empty(from)) return;
  to.previous->next = from.next;
  from.next->previous = to.previous;
  from.previous->next = &to;
  to.previous = from.previous;
  make_empty(from);
}

void TimerWheel::take_out(Timer& timer) noexcept {
  splice(timer.followers_, timer);
  unlink(timer);
}

// Of two neighbours, the later one becomes a follower of the other, first or last among them as it was before or after
// it: that keeps the order of arming. Returns the other.
TimerLink& TimerWheel::join(TimerLink& left, TimerLink& right) noexcept {
  if (timer_of(right).due_ < timer_of(left).due_) {
    unlink(left);
    append(*timer_of(right).followers_.next, left);
    return right;
  }
  unlink(right);
  append(timer_of(left).followers_, right);
  return left;
}

// Joins the heaps of a ring that is not empty: first in pairs, then from the end, which is what bounds the time that
// pairing heaps take.
Timer& TimerWheel::first_of(TimerLink& ring) noexcept {
  for (TimerLink* link = ring.next; link != &ring && link->next != &ring;) link = join(*link, *link->next).next;
  while (ring.next != ring.previous) join(*ring.previous->previous, *ring.previous);
  return timer_of(*ring.next);
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
  make_empty(timer.followers_);
  insert(timer);
  ++count_;
  if (next_known_) next_ = std::min(next_, due);
}

void TimerWheel::disarm(Timer& timer) noexcept {
  if (!timer.armed()) return;
  take_out(timer);
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
  if (!next_known_) {
    TimerLink& ring = ring_of(first_slot());
    next_ = is_empty(ring) ? Timer::kNever : first_of(ring).due_;
    next_known_ = true;
  }
  return next_;
}

void TimerWheel::cascade(TimerLink& ring) noexcept {
  TimerLink moved;
  make_empty(moved);
  splice(ring, moved);
  while (!is_empty(moved)) {
    Timer& timer = timer_of(*moved.next);
    take_out(timer);
    insert(timer);
  }
}

// Moves what is due from a slot of the lowest level to `due`, in order, as long as there is something `left` of what a
// run may do. True when that is all of the slot.
bool TimerWheel::collect_due(TimerLink& ring, TimePoint now, TimerLink& due, std::size_t& left) noexcept {
  for (; !is_empty(ring); --left) {
    if (left == 0) return false;
    Timer& first = first_of(ring);
    if (first.due_ > now) return false;
    take_out(first);
    append(due, first);
  }
  return true;
}

void TimerWheel::advance(TimePoint now, TimerLink& due) noexcept {
  const Tick until = tick_of(now);
  std::size_t left = kMostAtOnce;
  for (;;) {
    const Slot slot = first_slot();
    if (slot.start > until) break;
    current_ = std::max(current_, slot.start);
    TimerLink& ring = ring_of(slot);
    if (slot.level != 0) {
      cascade(ring);
    } else if (!collect_due(ring, now, due, left)) {
      break;
    }
  }
  if (left != 0) current_ = std::max(current_, until);  // otherwise more may be due in this slot, or the next ones
  next_known_ = false;
}

void TimerWheel::run(TimePoint now) noexcept {
  if (now < next()) return;
  TimerLink due;
  make_empty(due);
  advance(now, due);
  while (!is_empty(due)) {
    Timer& timer = timer_of(*due.next);
    disarm(timer);
    timer.on_timer(now);
  }
}

}  // namespace evio::internal
