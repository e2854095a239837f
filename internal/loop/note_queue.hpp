#pragma once

#include <concurrentqueue/concurrentqueue.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "evio/detail/ref_counted.hpp"
#include "internal/loop/block_pool.hpp"
#include "internal/loop/note.hpp"

namespace evio::internal {

class Poller;

/// How moodycamel's queue gets memory. A thread's first note makes a producer, in two allocations: one of which only
/// the first succeeds is there to stay and takes no note ever (release 1.0.3: its blockIndex is null). So the memory
/// for the second is got together with the first. Thread-safety: any thread.
struct NoteQueueTraits : moodycamel::ConcurrentQueueDefaultTraits {
  static void* malloc(std::size_t size) noexcept;

 private:
  static constexpr std::size_t kLargestProducer = 256;  // is 104 bytes,
  static constexpr std::size_t kLargestIndex = 1024;    // and its first index 822
};

/// The notes for one loop and the flag that says its poller was woken for them.
///
/// The wake protocol: a producer enqueues, then sets `armed`, and wakes the poller when it was not set before. The
/// loop leaves it set while it is at work, so that no one wakes it then; before it sleeps it clears `armed`, then looks
/// whether there are notes. So a note is either seen then, or was enqueued after `armed` was cleared, and then its
/// producer wakes the poller.
///
/// Once the loop has ended the queue is closed: it takes nothing any more, and no producer touches the poller. Handles
/// of connections keep the queue itself alive.
/// Thread-safety: post() and wake() from any thread, wake() also from a signal handler; the rest on the loop's thread,
/// close() after that ended.
class NoteQueue final : public RefCounted {
 public:
  NoteQueue(int loop_index, Poller& poller) : poller_(&poller), loop_index_(loop_index) {}

  int loop_index() const noexcept { return loop_index_; }

  /// Takes the note, in any case. False when the loop has ended, or when there was no memory to enqueue it.
  /// What the loop's own thread posts stays on it: own() has it, in order, and the poller is not woken.
  bool post(Note note) noexcept;
  /// A note could not be enqueued: the loop has to look for itself at what it was about. Nothing when the loop has
  /// ended.
  void lose() noexcept;
  /// Wakes the loop without a note.
  void wake() noexcept;

  /// True when there may be notes. relaxed: a hint, read on every turn of the loop; what it missed is followed by a
  /// wake-up.
  bool armed() const noexcept { return (state_.load(std::memory_order_relaxed) & kArmed) != 0; }
  /// For a loop that wants to sleep: from now on a producer wakes the poller again. False when there are notes still,
  /// or come within a third of a microsecond (AMD Zen 4; longer where a pause is): where notes come one after the
  /// other, that costs both sides much less than a sleep and a wake-up between any two.
  bool rest() noexcept;
  /// Moves out up to notes.size() of them; those of one producer come in order. Returns how many; 0: it is empty.
  std::size_t take(std::span<Note> notes) noexcept {
    return notes_.try_dequeue_bulk(turn_, notes.data(), notes.size());
  }
  /// What was posted on the loop's thread.
  std::vector<Note>& own() noexcept { return own_; }
  const std::vector<Note>& own() const noexcept { return own_; }
  /// True once after lose(). relaxed, then acquire: a hint, then what the note was about.
  bool lost() noexcept {
    return lost_.load(std::memory_order_relaxed) && lost_.exchange(false, std::memory_order_acquire);
  }

  /// Memory for what other threads ask of the loop's connections.
  BlockPool& requests() noexcept { return requests_; }

  /// Takes no more, waits until no producer is inside, drops what is left.
  void close() noexcept;

  /// Says, while it lives, that the thread that made it is the loop's.
  class OnThisThread {
   public:
    explicit OnThisThread(const NoteQueue& queue) noexcept : queue_(&queue), around_(std::exchange(innermost_, this)) {}
    ~OnThisThread() { innermost_ = around_; }
    OnThisThread(const OnThisThread&) = delete;
    OnThisThread& operator=(const OnThisThread&) = delete;

   private:
    friend class NoteQueue;
    const NoteQueue* queue_;
    const OnThisThread* around_;  // a callback may run a server of its own: then both loops are this thread's
  };
  bool on_loop_thread() const noexcept {
    const OnThisThread* at = innermost_;
    while (at != nullptr && at->queue_ != this) at = at->around_;
    return at != nullptr;
  }

 private:
  // The state: two flags, and above them how many producers are inside.
  static constexpr std::uint32_t kArmed = 1;
  static constexpr std::uint32_t kClosed = 2;
  static constexpr std::uint32_t kProducer = 4;

  bool enter() noexcept;
  void leave() noexcept;
  void arm_and_leave() noexcept;
  bool has_notes() const noexcept { return notes_.size_approx() != 0 || lost_.load(std::memory_order_relaxed); }

  bool keep_own(const Note& note) noexcept;
  static inline thread_local const OnThisThread* innermost_ = nullptr;

  std::atomic<std::uint32_t> state_{0};
  std::atomic<bool> lost_{false};
  moodycamel::ConcurrentQueue<Note, NoteQueueTraits> notes_;
  moodycamel::ConsumerToken turn_{notes_};  // goes from producer to producer: none keeps the others waiting
  std::vector<Note> own_;
  BlockPool requests_;
  Poller* poller_;
  int loop_index_;
};

}  // namespace evio::internal
