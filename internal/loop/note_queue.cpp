#include "internal/loop/note_queue.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <new>
#include <thread>
#include <utility>

#include "internal/base/cpu_relax.hpp"
#include "internal/poll/poller.hpp"

namespace evio::internal {
namespace {

// Few: each look pulls the counter's cache line away from an active producer.
constexpr int kLooks = 6;
constexpr int kPausesBetweenLooks = 5;

}  // namespace

void* NoteQueueTraits::malloc(std::size_t size) noexcept {
  static thread_local void* second = nullptr;
  if (second != nullptr && size <= kLargestIndex) return std::exchange(second, nullptr);
  void* const memory = std::malloc(size);
  if (memory == nullptr || size > kLargestProducer) return memory;
  second = std::malloc(kLargestIndex);
  if (second != nullptr) return memory;
  std::free(memory);
  return nullptr;
}

bool NoteQueue::post(Note&& note) noexcept {
  if (on_loop_thread()) {
    try {
      local_.push_back(std::move(note));
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
  }
  if (!enter()) return false;
  const bool posted = notes_.enqueue(std::move(note));
  arm_and_leave();
  return posted;
}

void NoteQueue::post(Signal signal) noexcept {
  const int saved = errno;  // a signal handler must leave it as it was
  if (enter()) {
    // release: what was done before is visible to the loop that takes the signal.
    state_.fetch_or(static_cast<std::uint32_t>(signal), std::memory_order_release);
    arm_and_leave();
  }
  errno = saved;
}

bool NoteQueue::enter() noexcept {
  // acquire: what a producer does inside comes after this.
  if ((state_.fetch_add(kProducer, std::memory_order_acquire) & kClosed) == 0) return true;
  leave();
  return false;
}

// release: what was done inside happens before close() sees the producer gone.
void NoteQueue::leave() noexcept { state_.fetch_sub(kProducer, std::memory_order_release); }

void NoteQueue::arm_and_leave() noexcept {
  std::uint32_t state = state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((state & kArmed) != 0) {
      // release: the loop's prepare_wait(), which comes later in the order of changes, sees what was enqueued.
      if (state_.compare_exchange_weak(state, state - kProducer, std::memory_order_release, std::memory_order_relaxed))
        return;
    } else if (state_.compare_exchange_weak(state, state | kArmed, std::memory_order_release,
                                            std::memory_order_relaxed)) {
      // After a failed wake-up the next producer tries again.
      if (!poller_->wake()) state_.fetch_and(~kArmed, std::memory_order_relaxed);
      leave();
      return;
    }
  }
}

bool NoteQueue::prepare_wait() noexcept {
  for (int looks = 0; looks < kLooks; ++looks) {
    if (has_notes()) return false;
    for (int pauses = 0; pauses < kPausesBetweenLooks; ++pauses) cpu_relax();
  }
  // acq_rel: what was enqueued by those who found `armed` set, and so did not wake the poller, is visible after it.
  state_.fetch_and(~kArmed, std::memory_order_acq_rel);
  return !has_notes();
}

void NoteQueue::close() noexcept {
  // acquire, here and below: what producers did inside happens before the poller and the notes are destroyed.
  state_.fetch_or(kClosed, std::memory_order_acquire);
  while (state_.load(std::memory_order_acquire) >= kProducer) std::this_thread::yield();
  std::array<Note, 16> left;
  const auto discard = [](Note& note) {
    if (note.kind == Note::Kind::kAdopt) note.about->on_discard();
    note = {};
  };
  for (std::size_t count = 0; (count = pop_bulk(left)) != 0;) std::for_each_n(left.begin(), count, discard);
  std::ranges::for_each(local_, discard);
  local_.clear();
}

}  // namespace evio::internal
