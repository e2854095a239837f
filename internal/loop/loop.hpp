#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>

#include "internal/base/intrusive_list.hpp"
#include "internal/loop/endpoint.hpp"
#include "internal/loop/note_queue.hpp"
#include "internal/loop/server_control.hpp"
#include "internal/loop/timer_wheel.hpp"
#include "internal/poll/poller.hpp"

namespace evio::internal {

class TimedTask;

/// What a loop calls for the signals it gets, and asks when to end. Thread-safety: the loop's thread.
class LoopHandler {
 public:
  /// The server shuts down: called once.
  virtual void on_shutdown() noexcept = 0;
  virtual void on_tick() noexcept = 0;
  /// The server is to shut down, and this loop says so first.
  virtual void on_stopping() noexcept {}
  /// A note was lost for want of memory: what it was about is still to be found at its connection.
  virtual void on_sweep() noexcept = 0;
  /// A listener is to be watched again, or to pause.
  virtual void on_listen() noexcept {}
  /// The listeners are to close; the server goes on.
  virtual void on_drain() noexcept {}
  /// After a shutdown: true when nothing is left to be done.
  virtual bool done() noexcept = 0;
  /// The loop ends: what is left is to be closed as it is.
  virtual void on_end() noexcept = 0;

 protected:
  ~LoopHandler() = default;
};

/// What something that is ready may point at until the turn ends, and nobody needs any more.
/// Thread-safety: the loop's thread.
class EndsWithTurn {
 public:
  virtual void on_turn_end() noexcept = 0;

 protected:
  ~EndsWithTurn() = default;

 private:
  template <class T, class N>
  friend class IntrusiveList;
  ListHook<EndsWithTurn> hook_;
};

/// One event loop: waits, calls what is ready, handles notes, runs timers, and frees what was closed.
///
/// Every turn: wait; listeners (before any user's callback can block); notes; everything else that is ready; the timers
/// that were due when the turn began, TimerWheel::kMostAtOnce at most (input that arrived later is read before it can
/// be too late for a timeout); then closed endpoints are freed, because what is ready may point at them until then.
/// Thread-safety: set up by the thread that starts the server; from run() on it belongs to the thread in run().
class Loop {
 public:
  using Clock = Timer::Clock;
  using TimePoint = Timer::TimePoint;

  Loop(int index, std::unique_ptr<Poller> poller, const StopFlag& stop,
       std::shared_ptr<Figures> figures = std::make_shared<Figures>());
  ~Loop() { close(); }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  int index() const noexcept { return index_; }
  const RefPtr<NoteQueue>& queue() const noexcept { return shared_queue_; }
  Poller& poller() noexcept { return *poller_; }
  TimerWheel& timers() noexcept { return timers_; }
  Figures& figures() noexcept { return figures_; }
  bool on_thread() const noexcept { return queue_.on_loop_thread(); }

  /// True once the server shuts down: the loop begins nothing new.
  bool shutting_down() const noexcept { return stop_.is_set(); }
  /// True from on_shutdown() on.
  bool stopping() const noexcept { return stopping_; }

  /// Releases the reference when the turn ends.
  void release_later(RefPtr<Endpoint> closed) noexcept { closed_.add(*closed.detach()); }
  /// Calls on_turn_end() when the turn ends, or the loop.
  void end_later(EndsWithTurn& ended) noexcept { ended_.add(ended); }
  /// Destroys its function, and releases the reference, when the turn ends.
  void release_later(RefPtr<TimedTask> cancelled) noexcept;
  /// When the turn under way began; if no timer was armed then, when this was first asked for in it.
  TimePoint turn_time() noexcept { return knows_turn_time_ ? turn_time_ : late_turn_time(); }
  /// When the turn ended that began at that time. The same time of one that was short, is long past, or is under way.
  TimePoint end_of_turn(TimePoint began) const noexcept;
  /// Changes with every turn.
  std::uint16_t turns() const noexcept { return static_cast<std::uint16_t>(figures_.turns.value()); }
  /// A connection that has moved much in its last turn, which was this one, comes after the others that are ready. True
  /// if it is to return: it is called again in this turn or, as the poller reports it again, in a later one.
  bool puts_off(Pollable& bulk, std::uint16_t last_turn) noexcept;
  /// Handles all notes there are. True when there were some.
  bool handle_notes() noexcept;

  /// Runs until the server has shut down and the handler is done.
  void run(LoopHandler& handler) noexcept;
  /// Takes no more notes, and ends what those that are left are about. run() does that at its end.
  void close() noexcept;

 private:
  struct LongTurn {
    TimePoint began = Timer::kNever;
    TimePoint ended;
  };

  struct PutOff {
    Pollable* pollable = nullptr;
    std::uint16_t last_turn = 0;
  };

  void turn() noexcept;
  [[gnu::always_inline]] void dispatch(std::span<Pollable* const> ready) noexcept;
  [[gnu::noinline]] void dispatch_put_off(bool others) noexcept;
  bool ends_reading() const noexcept { return stop_.is_set() && !stopping_; }
  void handle(Note note) noexcept;
  void handle(Signal signals) noexcept;
  bool has_work() const noexcept;
  std::chrono::nanoseconds time_to_wait() noexcept;
  void begin_turn() noexcept;
  [[gnu::cold]] TimePoint late_turn_time() noexcept;
  void end_turn(TimePoint now) noexcept;
  void reap() noexcept;

  const int index_;
  const StopFlag& stop_;
  std::unique_ptr<Poller> poller_;
  const RefPtr<NoteQueue> shared_queue_;  // with the handles of its connections
  NoteQueue& queue_;
  Figures& figures_;
  LoopHandler* handler_ = nullptr;
  TimerWheel timers_;
  IntrusiveList<Endpoint> closed_;
  IntrusiveList<TimedTask> cancelled_;
  IntrusiveList<EndsWithTurn> ended_;
  TimePoint turn_time_{};
  std::array<LongTurn, 16> long_turns_;  // the last ones
  std::size_t next_long_turn_ = 0;
  std::array<Note, 256> notes_;  // as many as a turn takes
  std::vector<Note> local_notes_;
  std::array<PutOff, 256> put_off_;  // in this turn
  std::size_t put_off_count_ = 0;
  int lone_turns_ = 0;  // in which nobody else was ready
  bool takes_put_off_ = false;
  bool knows_turn_time_ = false;
  bool more_notes_ = false;  // the last handle_notes() has left some
  bool has_work_ = false;    // the next turn must not sleep
  bool stopping_ = false;
};

}  // namespace evio::internal
