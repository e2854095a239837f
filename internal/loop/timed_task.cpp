#include "internal/loop/timed_task.hpp"

#include <cstddef>
#include <utility>

#include "internal/base/recycled.hpp"

namespace evio::internal {
namespace {

struct TimedBlock : Recycled<TimedBlock> {
  alignas(__STDCPP_DEFAULT_NEW_ALIGNMENT__) std::byte bytes[kTimedBlock];
};

}  // namespace

void* new_timed_block() { return TimedBlock::operator new(kTimedBlock); }
void delete_timed_block(void* block) noexcept { TimedBlock::operator delete(block); }

RefPtr<TimedTask> Endpoint::post_after(std::chrono::nanoseconds, TimedPtr<ConnTask>) { return {}; }

void TimedTasks::end() noexcept {
  while (!list_.empty()) {
    TimedTask& task = list_.front();
    const RefPtr<TimedTask> self = task.unlink();
    task.leave_waiting(TimedTask::State::kEnded);
    task.drop();
  }
}

// acq_rel: what a thread did before it cancels is visible where the function is destroyed.
bool TimedTask::leave_waiting(State into) noexcept {
  State waiting = State::kWaiting;
  return state_.compare_exchange_strong(waiting, into, std::memory_order_acq_rel, std::memory_order_relaxed);
}

bool TimedTask::cancel() noexcept {
  if (!leave_waiting(State::kCancelled)) return false;
  if (!queue().on_loop_thread()) {
    // Where there is no memory for the note, the function is destroyed when it is due, or with its connection.
    retain();
    queue().post({Note::Kind::kRequest, RefPtr<NoteTarget>(this)});
  } else if (list_ != nullptr) {
    loop().release_later(unlink());  // not here: what its destructor does is not for the middle of a callback
  }
  return true;
}

void TimedTask::arm(RefPtr<TimedTask> task) noexcept {
  TimedTasks* const tasks = task->list();
  // relaxed: a cancel() that comes later posts a note.
  if (tasks == nullptr || task->state_.load(std::memory_order_relaxed) != State::kWaiting) {
    task->leave_waiting(State::kEnded);
    return task->drop();
  }
  TimedTask& armed = *task.detach();
  armed.list_ = tasks;
  tasks->list_.add(armed);
  armed.loop().timers().arm(armed, armed.due_);
}

bool TimedTask::post(RefPtr<TimedTask> task) noexcept {
  NoteQueue& queue = task->queue();
  if (queue.on_loop_thread()) {
    arm(std::move(task));
    return true;
  }
  return queue.post({Note::Kind::kAdopt, RefPtr<NoteTarget>(task.detach())});
}

RefPtr<TimedTask> TimedTask::unlink() noexcept {
  loop().timers().disarm(*this);
  std::exchange(list_, nullptr)->list_.remove(*this);
  return RefPtr<TimedTask>(this);
}

void TimedTask::on_adopt(RefPtr<NoteTarget> self) noexcept {
  self.detach();
  arm(RefPtr<TimedTask>(this));
}

// Another thread has cancelled it.
void TimedTask::on_request() noexcept {
  if (list_ == nullptr) return;
  const RefPtr<TimedTask> self = unlink();
  drop();
}

// Its loop has ended before it was armed.
void TimedTask::on_discard() noexcept {
  leave_waiting(State::kEnded);
  drop();
}

void TimedTask::on_timer(TimePoint) noexcept {
  const RefPtr<TimedTask> self = unlink();
  if (leave_waiting(State::kEnded) && list() != nullptr) {
    loop().figures().timers.add(1);
    call();
  }
  drop();
}

}  // namespace evio::internal
