#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "internal/base/intrusive_list.hpp"
#include "internal/loop/server_control.hpp"

namespace evio::internal {

/// What an attempt to accept a connection came to.
enum class Accepted : std::uint8_t {
  kOne,
  kPassedOver,  // one failed, or was refused: there may be more
  kNone,        // none waits
  kExhausted,   // the system has run out of descriptors or memory
};

/// How many accepted connections may be open at once, over all loops. A slot is reserved before accept4(2) is called,
/// so there is never one more.
///
/// An acceptor that finds no slot free rests: it joins a queue, and its loop no longer watches the socket. Whoever
/// gives a slot back accepts with it for the one that has rested longest, on the spot. So no wake-up can be lost, and
/// no slot waits for a loop that is busy. While anyone rests, no slot is free: none is taken past the queue.
///
/// The count, and whether anyone rests, are one word: giving a slot back cannot miss an acceptor that begins to rest.
/// Thread-safety: any thread.
class ConnectionLimit {
 public:
  /// What an acceptor is to do next, on its own loop.
  enum class Order : std::uint8_t { kNone, kWatch, kPause };

  /// An acceptor as the limit sees it.
  class Waiter {
   public:
    Waiter() = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    /// Accepts one connection, for which the caller has a slot. Any loop's thread. kPassedOver is no answer.
    virtual Accepted accept_waiting() noexcept = 0;
    /// Makes its loop call take_order(). Any loop's thread.
    virtual void call_loop() noexcept = 0;

   protected:
    ~Waiter() = default;

   private:
    friend class ConnectionLimit;
    template <class T, class N>
    friend class IntrusiveList;

    enum class State : std::uint8_t {
      kActive,
      kResting,  // in the queue
      kHeld,     // a thread accepts for it
      kOrdered,  // its loop is to take order_
      kStopped,
    };

    State state_ = State::kActive;
    Order order_ = Order::kNone;
    ListHook<Waiter> hook_;
  };

  /// `most` connections; 0 or less: any number. Nobody is accepted for once `stop` is set.
  ConnectionLimit(int most, const StopFlag& stop) noexcept
      : most_(most > 0 ? static_cast<Word>(most) : 0), stop_(stop) {}
  ConnectionLimit(const ConnectionLimit&) = delete;
  ConnectionLimit& operator=(const ConnectionLimit&) = delete;

  bool is_set() const noexcept { return most_ != 0; }

  /// True: the caller has a slot. False: all are taken, and `waiter` rests until its loop gets an order.
  bool reserve_or_rest(Waiter& waiter) noexcept;
  /// Gives a slot back, or accepts with it for those that rest.
  void release() noexcept;
  /// What the loop of `waiter` is to do with it: once for each call_loop() at most.
  Order take_order(Waiter& waiter) noexcept;
  /// It accepts no more, and rests no more.
  void stop(Waiter& waiter) noexcept;

 private:
  using Word = std::uint32_t;
  static constexpr Word kSomeRest = 1;
  static constexpr Word kSlot = 2;  // the count is above that bit

  bool is_full(Word word) const noexcept { return word / kSlot == most_; }
  bool reserve(Word& word) noexcept;
  void add(Waiter& waiter) noexcept;
  void remove(Waiter& waiter) noexcept;
  Waiter* next() noexcept;
  void rest_again(Waiter& waiter) noexcept;
  void order(Waiter& waiter, Order what) noexcept;
  void pause_all(Waiter& held) noexcept;

  const Word most_;
  const StopFlag& stop_;
  std::atomic<Word> word_{0};
  std::mutex mutex_;               // for what follows, the waiters' states, and kSomeRest
  IntrusiveList<Waiter> resting_;  // the longest first
};

}  // namespace evio::internal
