#pragma once

#include <chrono>
#include <memory>
#include <string_view>

#include "evio/detail/task.hpp"
#include "internal/loop/loop.hpp"
#include "internal/loop/server_control.hpp"
#include "internal/loop/timed_task.hpp"

namespace evio::internal {

/// The functions that are posted to one loop, at once or for later.
/// Thread-safety: the static functions any thread, even after the loop has ended; the rest its loop's.
class LoopTasks {
 public:
  /// One that takes longer than `slow` is told of, if that is greater than 0.
  LoopTasks(Loop& loop, ServerControl& server, std::chrono::nanoseconds slow) noexcept
      : loop_(loop), server_(server), slow_(slow) {}

  /// `tasks` are used while the queue takes notes. False when the loop shuts down, or there is no memory.
  static bool post(LoopTasks& tasks, NoteQueue& queue, std::unique_ptr<LoopTask> task) noexcept;
  /// Null where post() is false.
  static RefPtr<TimedTask> post_after(LoopTasks& tasks, const RefPtr<NoteQueue>& queue, std::chrono::nanoseconds delay,
                                      TimedPtr<LoopTask> task) noexcept;

  /// Destroys what is not due, and takes no more.
  void end() noexcept;

 private:
  class Posted;
  class Timed;

  void call(LoopTask& task, std::string_view name) noexcept;
  Action run(LoopTask& task, std::string_view name);

  Loop& loop_;
  ServerControl& server_;
  const std::chrono::nanoseconds slow_;
  TimedTasks timed_;
  bool ended_ = false;
};

}  // namespace evio::internal
