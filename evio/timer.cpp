#include "evio/timer.hpp"

#include "internal/loop/timed_task.hpp"

namespace evio {

Timer::Timer(const Timer& other) noexcept : task_(other.task_) {
  if (task_ != nullptr) task_->retain();
}

Timer::~Timer() {
  if (task_ != nullptr) task_->release();
}

bool Timer::cancel() const noexcept { return task_ != nullptr && task_->cancel(); }

}  // namespace evio
