#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "evio/output.hpp"

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
  Asked ask(State flag, State state) noexcept;
  bool try_lock(State mark) noexcept;
  State unlock(State clear, State set) noexcept;
  Asked unlock_with_texts() noexcept;
  Output& place_for_text();

  std::unique_ptr<Texts> texts_;
  std::atomic<State> state_{0};
};

}  // namespace evio::internal
