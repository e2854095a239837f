#include "internal/server/loop_tasks.hpp"

#include <new>
#include <string>
#include <utility>

#include "evio/events.hpp"

namespace evio::internal {

class LoopTasks::Posted final : public NoteTarget {
 public:
  Posted(LoopTasks& tasks, std::unique_ptr<LoopTask> task) noexcept : tasks_(tasks), task_(std::move(task)) {}

 private:
  void on_request() noexcept override {
    tasks_.call(*task_, "post");
    task_.reset();
  }
  void on_continue() noexcept override { EVIO_ASSERT(false); }
  void on_flush() noexcept override { EVIO_ASSERT(false); }
  void on_adopt(RefPtr<NoteTarget>) noexcept override { EVIO_ASSERT(false); }

  LoopTasks& tasks_;
  std::unique_ptr<LoopTask> task_;
};

class LoopTasks::Timed final : public TimedTask {
 public:
  Timed(LoopTasks& tasks, const RefPtr<NoteQueue>& queue, TimePoint due, Held<LoopTask> task) noexcept
      : TimedTask(due), tasks_(tasks), queue_(queue), task_(std::move(task)) {}

 private:
  void call() noexcept override { tasks_.call(*task_, "post_after"); }
  void drop() noexcept override { task_.reset(); }
  TimedTasks* list() noexcept override { return tasks_.ended_ ? nullptr : &tasks_.timed_; }
  Loop& loop() noexcept override { return tasks_.loop_; }
  NoteQueue& queue() noexcept override { return *queue_; }

  LoopTasks& tasks_;
  const RefPtr<NoteQueue> queue_;
  Held<LoopTask> task_;
};

bool LoopTasks::post(LoopTasks& tasks, NoteQueue& queue, std::unique_ptr<LoopTask> task) noexcept {
  if (queue.refuses_functions()) return false;
  auto* const posted = new (std::nothrow) Posted(tasks, std::move(task));
  return posted != nullptr && queue.post({Note::Kind::kRequest, RefPtr<NoteTarget>(posted)});
}

RefPtr<TimedTask> LoopTasks::post_after(LoopTasks& tasks, const RefPtr<NoteQueue>& queue,
                                        std::chrono::nanoseconds delay, TimedPtr<LoopTask> task) noexcept {
  if (queue->refuses_functions()) return {};
  RefPtr<TimedTask> timed = TimedTask::make<Timed>(std::move(task), tasks, queue, time_after(delay));
  return TimedTask::post(timed) ? timed : RefPtr<TimedTask>();
}

void LoopTasks::end() noexcept {
  ended_ = true;
  timed_.end();
}

Action LoopTasks::run(LoopTask& task, std::string_view name) {
  if (slow_.count() <= 0) [[likely]]
    return task.run();
  const CallTimer timer(server_, loop_.index(), name, slow_,
                        [this] { return "loop " + std::to_string(loop_.index()); });
  return task.run();
}

void LoopTasks::call(LoopTask& task, std::string_view name) noexcept {
  try {
    if (run(task, name) == Action::Shutdown) server_.shut_down();
  } catch (...) {
    server_.fail();
  }
}

}  // namespace evio::internal
