#include "internal/mailbox.hpp"

#include <utility>

#include "internal/relax.hpp"

namespace evio::internal {
namespace {

// The lock is held as long as an append takes: a few looks usually see it free again.
constexpr int kLooks = 64;

}  // namespace

// False when the mailbox is closed.
bool Mailbox::lock_slowly() noexcept {
  for (int looks = 0;; ++looks) {
    State state = state_.load(std::memory_order_relaxed);
    if ((state & kClosed) != 0) return false;
    if ((state & kLocked) == 0) {
      // acquire: pairs with the release of who was here before.
      if (state_.compare_exchange_weak(state, state | kLocked, std::memory_order_acquire, std::memory_order_relaxed))
        return true;
    } else if (looks >= kLooks && ((state & kAwaited) != 0 ||
                                   state_.compare_exchange_weak(state, state | kAwaited, std::memory_order_relaxed))) {
      state_.wait(state | kAwaited, std::memory_order_relaxed);
    } else {
      relax();
    }
  }
}

// For the loop: false when someone else stays inside, who gets the mark then.
bool Mailbox::try_lock(State mark) noexcept {
  for (int looks = 0;; ++looks) {
    State state = state_.load(std::memory_order_relaxed);
    if ((state & kLocked) == 0) {
      // acquire: as above.
      if (state_.compare_exchange_weak(state, state | kLocked, std::memory_order_acquire, std::memory_order_relaxed))
        return true;
    } else if (looks >= kLooks && state_.compare_exchange_weak(state, state | mark, std::memory_order_relaxed)) {
      return false;  // relaxed: nothing is handed over
    } else {
      relax();
    }
  }
}

Mailbox::Asked Mailbox::close() noexcept { return ask(kClosed, state_.load(std::memory_order_relaxed)); }

// A closed mailbox stays as it is: kNoted there would have the one who is at the texts rely on a note that no one
// posts.
Mailbox::Asked Mailbox::ask(State flag, State state) noexcept {
  do {
    if ((state & kClosed) != 0) return Asked::kRefused;
    // release: pairs with the taking of the wake.
  } while (!state_.compare_exchange_weak(state, state | flag | kNoted, std::memory_order_release,
                                         std::memory_order_relaxed));
  return (state & kNoted) != 0 ? Asked::kNoted : Asked::kPost;
}

// relaxed: as in place_for_text().
Output& Mailbox::new_place_for_text() {
  if (texts_ == nullptr) texts_ = std::make_unique<Texts>();
  if (texts_->behind_wake == nullptr) {
    if ((state_.load(std::memory_order_relaxed) & kWoken) == 0) return texts_->text;
    texts_->behind_wake = std::make_unique<Texts>();
  }
  return texts_->behind_wake->text;
}

Mailbox::Mail Mailbox::take() noexcept {
  if (!try_lock(kPassed)) return {};
  Mail mail;
  mail.texts = std::move(texts_);
  // Those behind a wake wait for the next time, which needs no note.
  if (mail.texts != nullptr) texts_ = std::move(mail.texts->behind_wake);
  mail.more = texts_ != nullptr;
  const State wake = closed() ? 0 : kWoken;
  mail.woken = (unlock(kTexts | kNoted | wake, mail.more ? kTexts | kNoted : 0) & wake) != 0;
  if (mail.woken) wake_fence();
  return mail;
}

std::unique_ptr<Mailbox::Texts> Mailbox::take_texts() noexcept {
  if (!try_lock(0)) return {};
  std::unique_ptr<Texts> texts = std::move(texts_);
  unlock(kTexts, 0);
  return texts;
}

bool Mailbox::take_wake() noexcept {
  // acquire: pairs with wake().
  const bool woken = (state_.fetch_and(~kWoken, std::memory_order_acquire) & kWoken) != 0;
  if (woken) wake_fence();
  return woken;
}

}  // namespace evio::internal
