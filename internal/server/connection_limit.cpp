#include "internal/server/connection_limit.hpp"

namespace evio::internal {

// acquire: what was done before the slot was given back, in `closed` above all, comes before the next connection.
bool ConnectionLimit::reserve(Word& word) noexcept {
  while (!is_full(word)) {
    if (word_.compare_exchange_weak(word, word + kSlot, std::memory_order_acquire, std::memory_order_relaxed))
      return true;
  }
  return false;
}

bool ConnectionLimit::reserve_or_rest(Waiter& waiter) noexcept {
  Word word = word_.load(std::memory_order_relaxed);
  if (reserve(word)) return true;
  const std::lock_guard lock(mutex_);
  // relaxed: the mutex orders the queue, and a release() that comes after this sees the bit in the word that it
  // changes.
  while (!word_.compare_exchange_weak(word, word | kSomeRest, std::memory_order_relaxed)) {
    if (reserve(word)) return true;
  }
  add(waiter);
  return false;
}

// release: see reserve().
void ConnectionLimit::release() noexcept {
  Word word = word_.load(std::memory_order_relaxed);
  while ((word & kSomeRest) == 0) {
    if (word_.compare_exchange_weak(word, word - kSlot, std::memory_order_release, std::memory_order_relaxed)) return;
  }
  while (Waiter* const waiter = next()) {
    switch (waiter->accept_waiting()) {
      case Accepted::kOne:
        return rest_again(*waiter);
      case Accepted::kExhausted:
        return pause_all(*waiter);
      default:
        order(*waiter, Order::kWatch);
    }
  }
}

// The one that has rested longest, for which the caller accepts with its slot; or none, and the slot is free.
ConnectionLimit::Waiter* ConnectionLimit::next() noexcept {
  const std::lock_guard lock(mutex_);
  if (resting_.empty() || stop_.is_set()) {
    word_.fetch_sub(kSlot, std::memory_order_release);
    return nullptr;
  }
  Waiter& waiter = resting_.front();
  remove(waiter);
  waiter.state_ = Waiter::State::kHeld;
  return &waiter;
}

// More connections may wait at its socket. It goes behind the others; or it need not rest, as a slot has become free.
void ConnectionLimit::rest_again(Waiter& waiter) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (waiter.state_ == Waiter::State::kStopped) return;
    Word word = word_.load(std::memory_order_relaxed);
    while (is_full(word)) {
      if (word_.compare_exchange_weak(word, word | kSomeRest, std::memory_order_relaxed)) return add(waiter);
    }
  }
  order(waiter, Order::kWatch);
}

void ConnectionLimit::order(Waiter& waiter, Order what) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (waiter.state_ == Waiter::State::kStopped) return;
    waiter.state_ = Waiter::State::kOrdered;
    waiter.order_ = what;
  }
  waiter.call_loop();
}

// Where there is no memory for one connection there is none for others: all pause, and the slot is free.
void ConnectionLimit::pause_all(Waiter& held) noexcept {
  order(held, Order::kPause);
  while (Waiter* const waiter = next()) order(*waiter, Order::kPause);
}

ConnectionLimit::Order ConnectionLimit::take_order(Waiter& waiter) noexcept {
  const std::lock_guard lock(mutex_);
  if (waiter.state_ != Waiter::State::kOrdered) return Order::kNone;
  waiter.state_ = Waiter::State::kActive;
  return waiter.order_;
}

void ConnectionLimit::stop(Waiter& waiter) noexcept {
  const std::lock_guard lock(mutex_);
  if (waiter.state_ == Waiter::State::kResting) remove(waiter);
  waiter.state_ = Waiter::State::kStopped;
}

// Its bit is set.
void ConnectionLimit::add(Waiter& waiter) noexcept {
  waiter.state_ = Waiter::State::kResting;
  resting_.add(waiter);
}

void ConnectionLimit::remove(Waiter& waiter) noexcept {
  resting_.remove(waiter);
  if (resting_.empty()) word_.fetch_and(~kSomeRest, std::memory_order_relaxed);
}

}  // namespace evio::internal
