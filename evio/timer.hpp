#pragma once

#include <utility>

#include "evio/detail/ref_counted.hpp"

namespace evio {

namespace internal {
class TimedTask;
class TimerAccess;
}  // namespace internal

/// A copyable handle to a function that is to be called later: see Conn::post_after() and Server::post_after(). A
/// default-constructed Timer refers to none.
/// Thread-safety: cancel() may be called from any thread at any time, even after serve() has returned.
class Timer {
 public:
  /// Refers to no function.
  Timer() noexcept = default;
  /// Refers to the same function as `other`.
  Timer(const Timer& other) noexcept;
  /// Takes over the reference of `other`, which then refers to no function.
  Timer(Timer&& other) noexcept : task_(std::exchange(other.task_, nullptr)) {}
  /// Copies or moves, depending on the argument.
  Timer& operator=(Timer other) noexcept {
    std::swap(task_, other.task_);
    return *this;
  }
  /// Does not cancel.
  ~Timer();

  /// True, once: the function has not run and will not. It is destroyed on its loop soon after. False if it has begun,
  /// was cancelled, or was destroyed because its connection or its server has ended.
  bool cancel() const noexcept;

 private:
  friend class internal::TimerAccess;
  internal::TimedTask* task_ = nullptr;
};

}  // namespace evio
