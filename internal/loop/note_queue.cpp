#include "internal/loop/note_queue.hpp"

#include <array>
#include <cstdlib>
#include <new>
#include <thread>
#include <utility>

#include "internal/base/cpu_relax.hpp"
#include "internal/poll/poller.hpp"

namespace evio::internal {
namespace {

// Few: a look takes the cache line with the number of notes from the processor of a producer that just enqueues one.
constexpr int kLooks = 6;
constexpr int kRestsBetweenLooks = 5;

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

bool NoteQueue::post(Note note) noexcept {
  bool posted = false;
  if (on_loop_thread()) {
    posted = keep_own(note);
  } else if (enter()) {
    posted = notes_.enqueue(note);
    arm_and_leave();
  }
  if (!posted) note.peer->release();
  return posted;
}

bool NoteQueue::keep_own(const Note& note) noexcept {
  try {
    own_.push_back(note);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void NoteQueue::lose() noexcept {
  // release: what the note was about is visible to the loop that finds this.
  lost_.store(true, std::memory_order_release);
  wake();
}

void NoteQueue::wake() noexcept {
  const int saved = errno;  // a signal handler must leave it as it was
  if (enter()) arm_and_leave();
  errno = saved;
}

bool NoteQueue::enter() noexcept {
  // acquire: what a producer does inside stays behind this.
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
      // release: the loop's rest(), which comes after this in the order of changes, sees what was enqueued.
      if (state_.compare_exchange_weak(state, state - kProducer, std::memory_order_release, std::memory_order_relaxed))
        return;
    } else if (state_.compare_exchange_weak(state, state | kArmed, std::memory_order_release,
                                            std::memory_order_relaxed)) {
      // A failed wake-up must not be taken for one that is under way: the next producer tries again.
      if (!poller_->wake()) state_.fetch_and(~kArmed, std::memory_order_relaxed);
      leave();
      return;
    }
  }
}

bool NoteQueue::rest() noexcept {
  for (int looks = 0; looks < kLooks; ++looks) {
    if (has_notes()) return false;
    for (int rests = 0; rests < kRestsBetweenLooks; ++rests) relax();
  }
  // acq_rel: what was enqueued by those who found `armed` set, and so did not wake the poller, is seen behind it.
  state_.fetch_and(~kArmed, std::memory_order_acq_rel);
  return !has_notes();
}

void NoteQueue::close() noexcept {
  // acquire, here and below: what producers did inside happens before the poller and the notes are destroyed.
  state_.fetch_or(kClosed, std::memory_order_acquire);
  while (state_.load(std::memory_order_acquire) >= kProducer) std::this_thread::yield();
  std::array<Note, 16> left;
  while (const std::size_t count = take(left))
    for (const Note& note : std::span(left).first(count)) note.peer->release();
  for (const Note& note : own_) note.peer->release();
  own_.clear();
}

}  // namespace evio::internal
