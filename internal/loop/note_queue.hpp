#pragma once

#include <concurrentqueue/concurrentqueue.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "evio/detail/ref_counted.hpp"
#include "internal/loop/block_pool.hpp"
#include "internal/loop/figures.hpp"
#include "internal/loop/note.hpp"

namespace evio::internal {

class Poller;
class ServerControl;

/// How moodycamel's queue gets memory. A thread's first enqueue allocates twice; if only the first allocation succeeds,
/// that producer can never enqueue (release 1.0.3: its blockIndex stays null). So the memory for the second is
/// allocated together with the first. Thread-safety: any thread.
struct NoteQueueTraits : moodycamel::ConcurrentQueueDefaultTraits {
  static void* malloc(std::size_t size) noexcept;

 private:
  static constexpr std::size_t kLargestProducer = 256;  // is 104 bytes,
  static constexpr std::size_t kLargestIndex = 1024;    // and its first index 822
};

/// The notes for one loop, and the word that says what its poller was woken for.
///
/// The wake protocol: a producer enqueues, then sets `armed`, and wakes the poller if it was not set before. While the
/// loop works it stays set, and nobody wakes the loop; before it sleeps, the loop clears `armed`, then looks whether
/// there are notes. So a note is either seen by that look, or was enqueued after `armed` was cleared, and then its
/// producer wakes the poller.
///
/// Once the loop has ended the queue is closed: it takes nothing, and no producer touches the poller. Handles of
/// connections keep the queue itself alive.
/// Thread-safety: post() any thread, with a Signal also a signal handler; on_loop_thread() and blocks() any thread;
/// the rest the loop's thread, but close() of a loop that never ran.
class NoteQueue final : public RefCounted {
 public:
  NoteQueue(int loop_index, Poller& poller, std::shared_ptr<Figures> figures = std::make_shared<Figures>())
      : poller_(&poller), loop_index_(loop_index), figures_(std::move(figures)) {}

  int loop_index() const noexcept { return loop_index_; }
  /// The server of its loop; null when that is gone. set_server() before the loop runs.
  std::shared_ptr<ServerControl> server() const noexcept { return server_.lock(); }
  /// Of its loop; they may be read as long as somebody else has them.
  Figures& figures() const noexcept { return *figures_; }
  void set_server(std::weak_ptr<ServerControl> server) noexcept { server_ = std::move(server); }

  /// False when the loop has ended, or there was no memory to enqueue the note. A note from the loop's own thread goes
  /// to local(), in order, and does not wake the poller.
  bool post(Note&& note) noexcept;
  /// From now on Server::post() is refused: functions that post others would keep a shutdown from its end.
  void refuse_functions() noexcept { refuses_functions_.store(true, std::memory_order_relaxed); }
  /// relaxed: a function that is posted at the same time runs, or is destroyed when the loop ends.
  bool refuses_functions() const noexcept { return refuses_functions_.load(std::memory_order_relaxed); }
  /// Several of one kind may count as one. Nothing when the loop has ended.
  void post(Signal signal) noexcept;

  /// True when there may be notes or signals. relaxed: a hint, read on every turn of the loop; what it misses is
  /// followed by a wake-up.
  bool armed() const noexcept { return (state_.load(std::memory_order_relaxed) & kArmed) != 0; }
  /// For a loop that wants to sleep: from now on a producer wakes the poller again. False when there are notes or
  /// signals, or some come within a third of a microsecond (AMD Zen 4; longer where a pause is): where notes follow
  /// each other, that costs both sides much less than a sleep and a wake-up between any two.
  bool prepare_wait() noexcept;
  /// Moves up to notes.size() notes out, those of one producer in order. Returns how many; 0: the queue is empty.
  std::size_t pop_bulk(std::span<Note> notes) noexcept {
    return notes_.try_dequeue_bulk(turn_, notes.data(), notes.size());
  }
  /// The signals since the last call. relaxed, then acquire: a hint, then what was done before the signal.
  Signal take_signals() noexcept {
    if ((state_.load(std::memory_order_relaxed) & kSignals) == 0) [[likely]]
      return Signal::kNone;
    return static_cast<Signal>(state_.fetch_and(~kSignals, std::memory_order_acquire) & kSignals);
  }
  /// What was posted on the loop's thread.
  std::vector<Note>& local() noexcept { return local_; }
  const std::vector<Note>& local() const noexcept { return local_; }

  /// Memory for what other threads ask of the loop's connections.
  BlockPool& blocks() noexcept { return blocks_; }

  /// An address that no other running thread has.
  static const void* this_thread() noexcept {
    static thread_local char mark;
    return &mark;
  }
  /// The calling thread is the loop's, until leave_thread(). A callback may run a server of its own: then the loops of
  /// both are this thread's.
  void enter_thread() noexcept { thread_.store(this_thread(), std::memory_order_relaxed); }
  void leave_thread() noexcept { thread_.store(nullptr, std::memory_order_relaxed); }
  /// relaxed: only the loop's own thread can find its own mark here.
  bool on_loop_thread() const noexcept { return thread_.load(std::memory_order_relaxed) == this_thread(); }

  /// Takes no more, waits until no producer is inside, drops what is left.
  void close() noexcept;

 private:
  // The state: flags, the signals, and above them how many producers are inside.
  static constexpr std::uint32_t kArmed = 1;
  static constexpr std::uint32_t kClosed = 2;
  static constexpr auto kSignals = static_cast<std::uint32_t>(Signal::kShutdown | Signal::kTick | Signal::kSweep |
                                                              Signal::kStopping | Signal::kListen | Signal::kDrain);
  static constexpr std::uint32_t kProducer = 256;
  static_assert((kSignals & (kArmed | kClosed)) == 0 && kSignals < kProducer);

  bool enter() noexcept;
  void leave() noexcept;
  void arm_and_leave() noexcept;
  bool has_notes() const noexcept {
    return notes_.size_approx() != 0 || (state_.load(std::memory_order_relaxed) & kSignals) != 0;
  }

  std::atomic<std::uint32_t> state_{0};
  std::atomic<const void*> thread_{nullptr};
  moodycamel::ConcurrentQueue<Note, NoteQueueTraits> notes_;
  moodycamel::ConsumerToken turn_{notes_};  // goes from producer to producer, so that none starves the others
  std::vector<Note> local_;
  BlockPool blocks_;
  Poller* poller_;
  int loop_index_;
  const std::shared_ptr<Figures> figures_;
  std::atomic<bool> refuses_functions_{false};
  std::weak_ptr<ServerControl> server_;
};

}  // namespace evio::internal
