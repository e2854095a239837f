#pragma once

#include <chrono>
#include <memory>

#include "evio/detail/task.hpp"
#include "internal/loop/loop.hpp"
#include "internal/loop/server_control.hpp"
#include "internal/loop/timed_task.hpp"

namespace evio::internal {

/// The functions that are posted to one loop, at once or for later.
/// Thread-safety: the static functions any thread, even after the loop has ended; the rest its loop's.
class LoopTasks {
 public:
  LoopTasks(Loop& loop, ServerControl& server) noexcept : loop_(loop), server_(server) {}

  /// `tasks` are used while the queue takes notes. False when the loop shuts down, or there is no memory.
  static bool post(LoopTasks& tasks, NoteQueue& queue, std::unique_ptr<LoopTask> task) noexcept;
  /// Null where post() is false.
  static RefPtr<TimedTask> post_after(LoopTasks& tasks, const RefPtr<NoteQueue>& queue, std::chrono::nanoseconds delay,
                                      std::unique_ptr<LoopTask> task) noexcept;

  /// Destroys what is not due, and takes no more.
  void end() noexcept;

 private:
  class Posted;
  class Timed;

  void call(LoopTask& task) noexcept;

  Loop& loop_;
  ServerControl& server_;
  TimedTasks timed_;
  bool ended_ = false;
};

}  // namespace evio::internal
