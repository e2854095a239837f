#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include "evio/detail/task.hpp"
#include "evio/timer.hpp"
#include "internal/base/intrusive_list.hpp"
#include "internal/loop/loop.hpp"
#include "internal/loop/note.hpp"
#include "internal/loop/timer_wheel.hpp"

namespace evio::internal {

class TimedTask;

/// What the functions of one connection, or of one loop, that are to be called later have in common.
/// Thread-safety: its loop's thread.
class TimedTasks {
 public:
  TimedTasks() = default;
  TimedTasks(const TimedTasks&) = delete;
  TimedTasks& operator=(const TimedTasks&) = delete;

  /// Destroys them all.
  void end() noexcept;

 private:
  friend class TimedTask;
  IntrusiveList<TimedTask> list_;
};

/// A function that is to be called at a time: what an evio::Timer refers to. From arm() on it is in the list of its
/// connection or loop, which has one reference to it, until the function was called or destroyed. It stands in
/// memory before its task: see make().
/// Thread-safety: cancel() any thread; the rest the loop's.
class TimedTask : public NoteTarget, public Timer {
 public:
  /// True, once, if the function has not begun and never will. The loop destroys it soon.
  bool cancel() noexcept;
  /// On its loop's thread: arms it. Takes the reference over.
  static void arm(RefPtr<TimedTask> task) noexcept;
  /// On any thread: the same, sooner or later. False when its loop has ended, or there is no memory.
  static bool post(RefPtr<TimedTask> task) noexcept;

  /// A `Kind` of these in the block of its task, made of the arguments and a Held<Task>.
  template <class Kind, class Task, class... Arguments>
  static RefPtr<TimedTask> make(TimedPtr<Task> task, Arguments&&... arguments) noexcept {
    static_assert(sizeof(Kind) <= kTimedRoom && alignof(Kind) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    Task* const held = task.release();
    return RefPtr<TimedTask>(::new (timed_block(held)) Kind(std::forward<Arguments>(arguments)..., Held<Task>(held)));
  }
  static void operator delete(void* block) noexcept { delete_timed_block(block); }

 protected:
  struct EndInPlace {
    template <class Task>
    void operator()(Task* task) const noexcept {
      task->~Task();
    }
  };
  /// A task whose memory is that of the TimedTask before it.
  template <class Task>
  using Held = std::unique_ptr<Task, EndInPlace>;

  explicit TimedTask(TimePoint due) noexcept : due_(due) {}

  /// Calls the function: it is due.
  virtual void call() noexcept = 0;
  /// Destroys the function.
  virtual void drop() noexcept = 0;
  /// The list that it belongs to; nullptr if its connection or loop calls nothing any more.
  virtual TimedTasks* list() noexcept = 0;
  virtual Loop& loop() noexcept = 0;
  /// Its loop's, which may have ended, and be gone: then it takes nothing.
  virtual NoteQueue& queue() noexcept = 0;

 private:
  template <class T, class N>
  friend class IntrusiveList;
  friend class TimedTasks;
  friend class Loop;

  enum class State : std::uint8_t { kWaiting, kCancelled, kEnded };

  bool leave_waiting(State into) noexcept;
  RefPtr<TimedTask> unlink() noexcept;

  void on_adopt(RefPtr<NoteTarget> self) noexcept override;
  void on_request() noexcept override;
  void on_timer(TimePoint now) noexcept override;
  void on_continue() noexcept override { EVIO_ASSERT(false); }
  void on_flush() noexcept override { EVIO_ASSERT(false); }
  void on_discard() noexcept override;

  const TimePoint due_;
  TimedTasks* list_ = nullptr;
  ListHook<TimedTask> hook_;
  std::atomic<State> state_{State::kWaiting};
};

/// Makes the handles that are passed to users.
class TimerAccess {
 public:
  /// Takes the reference over.
  static evio::Timer handle(RefPtr<TimedTask> task) noexcept {
    evio::Timer timer;
    timer.task_ = task.detach();
    return timer;
  }
};

/// The time that lies so far ahead; Timer::kNever beyond the end of time.
inline Timer::TimePoint time_after(std::chrono::nanoseconds delay) noexcept {
  const auto now = Timer::Clock::now();
  if (delay <= std::chrono::nanoseconds(0)) return now;
  return delay < Timer::kNever - now ? now + delay : Timer::kNever;
}

}  // namespace evio::internal
