#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "evio/output.hpp"
#include "internal/wake_fence.hpp"

namespace evio::internal {

/// What other threads ask of one connection: texts to be sent, a wake, its end. It waits here; the note that has the
/// loop look is posted by the one who asks first, and whoever asks before the loop has looked only adds to it. So a
/// flood costs an append for each call, not a note, and what is sent has one order, whoever sends it.
///
/// What was sent behind a wake that waits stays behind what its data call sends.
///
/// Texts are added under a lock, a bit of the state. Other threads wait for it; the loop does not, for who holds it may
/// have lost its processor: it passes by, and that one posts a note once more.
/// Thread-safety: add(), wake() and close() any thread; the rest the loop's.
class Mailbox {
 public:
  /// What became of a request: it comes too late; a note about the mailbox is under way; or the caller has to post one.
  enum class Asked : std::uint8_t { kRefused, kNoted, kPost };

  /// Calls add(Output&), which appends to the texts, or throws for want of memory: then `failed` is set. The caller
  /// posts where kPost says so in that case too, for the loop may have passed by.
  template <class Add>
  Asked add(Add add, bool& failed) noexcept {
    if (!lock()) return Asked::kRefused;
    try {
      add(place_for_text());
    } catch (...) {
      failed = true;
    }
    return unlock_with_texts();
  }
  Asked wake() noexcept;
  Asked close() noexcept;

  /// True once no more data may be called and no text is taken: after close() or refuse().
  /// relaxed: what close() promises holds for those who know that it was called.
  bool closed() const noexcept { return (state_.load(std::memory_order_relaxed) & kClosed) != 0; }
  /// True while there are texts, or someone is adding one. Their note comes.
  bool has_texts() const noexcept { return (state_.load(std::memory_order_relaxed) & (kTexts | kLocked)) != 0; }
  /// The loop asks for nothing: from now on everything is refused.
  void refuse() noexcept { state_.fetch_or(kClosed, std::memory_order_relaxed); }

  struct Texts {
    Output text;
    std::unique_ptr<Texts> behind_wake;
  };
  struct Mail {
    std::unique_ptr<Texts> texts;  // to be sent first; nullptr: none
    bool woken = false;            // then data is to be called,
    bool more = false;             // and then to be taken again
  };
  /// What came since the last time. From now on whoever asks for something posts a note. What the callers of wake() did
  /// before is visible from here on; that of a closed mailbox stays.
  Mail take() noexcept;
  /// Only the texts, all of them; what else there is, and the note, stay. nullptr also while someone is adding one.
  std::unique_ptr<Texts> take_texts() noexcept;
  /// True when a wake is left, which it is no more.
  bool take_wake() noexcept;

 private:
  using State = std::uint32_t;
  static constexpr State kClosed = 1;
  static constexpr State kWoken = 2;
  static constexpr State kTexts = 4;
  static constexpr State kNoted = 8;     // a note is under way
  static constexpr State kLocked = 16;   // someone is at the texts
  static constexpr State kAwaited = 32;  // others sleep until they can be there
  static constexpr State kPassed = 64;   // the loop has passed by meanwhile

  bool lock() noexcept;
  bool lock_slowly() noexcept;
  bool try_lock(State mark) noexcept;
  State unlock(State clear, State set) noexcept;
  Asked unlock_with_texts() noexcept;
  Asked ask(State flag, State state) noexcept;
  Output& place_for_text();
  Output& new_place_for_text();

  std::unique_ptr<Texts> texts_;
  std::atomic<State> state_{0};
};

// What a flood calls each time is inline: as functions of their own these few take a quarter of the rate.

inline Mailbox::Asked Mailbox::wake() noexcept {
  wake_fence();
  const State state = state_.load(std::memory_order_relaxed);
  if (kMayLookFirst && (state & (kWoken | kClosed)) == kWoken) return Asked::kNoted;
  return ask(kWoken, state);
}

// False when the mailbox is closed.
inline bool Mailbox::lock() noexcept {
  State state = state_.load(std::memory_order_relaxed);
  // acquire: pairs with the release of who was here before.
  return ((state & (kClosed | kLocked)) == 0 &&
          state_.compare_exchange_weak(state, state | kLocked, std::memory_order_acquire, std::memory_order_relaxed)) ||
         lock_slowly();
}

// Returns the state before.
inline Mailbox::State Mailbox::unlock(State clear, State set) noexcept {
  State state = state_.load(std::memory_order_relaxed);
  // acq_rel: the next one here sees the texts; who takes a wake sees what was done before it.
  while (!state_.compare_exchange_weak(state, (state & ~(clear | kLocked | kAwaited | kPassed)) | set,
                                       std::memory_order_acq_rel, std::memory_order_relaxed)) {
  }
  if ((state & kAwaited) != 0) [[unlikely]]
    state_.notify_all();
  return state;
}

inline Mailbox::Asked Mailbox::unlock_with_texts() noexcept {
  const State before = unlock(0, kTexts | kNoted);
  return (before & kNoted) != 0 && (before & kPassed) == 0 ? Asked::kNoted : Asked::kPost;
}

// relaxed: what matters is a wake of this thread's own.
inline Output& Mailbox::place_for_text() {
  const bool behind_wake = (state_.load(std::memory_order_relaxed) & kWoken) != 0;
  return texts_ != nullptr && texts_->behind_wake == nullptr && !behind_wake ? texts_->text : new_place_for_text();
}

}  // namespace evio::internal
