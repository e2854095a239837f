#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace evio {
enum class Action;
class Conn;
class Output;
}  // namespace evio

namespace evio::internal {

/// A function that is called once for its connection, on that connection's loop. May be move-only.
class ConnTask {
 public:
  ConnTask() = default;
  ConnTask(const ConnTask&) = delete;
  ConnTask& operator=(const ConnTask&) = delete;
  virtual ~ConnTask() = default;
  virtual Action run(Conn& conn, Output& out) = 0;
};

/// The same for a loop, without a connection.
class LoopTask {
 public:
  LoopTask() = default;
  LoopTask(const LoopTask&) = delete;
  LoopTask& operator=(const LoopTask&) = delete;
  virtual ~LoopTask() = default;
  virtual Action run() = 0;
};

template <class F>
class ConnTaskOf final : public ConnTask {
 public:
  explicit ConnTaskOf(F&& f) : f_(std::move(f)) {}
  Action run(Conn& conn, Output& out) override { return f_(conn, out); }

 private:
  F f_;
};

template <class F>
class LoopTaskOf final : public LoopTask {
 public:
  explicit LoopTaskOf(F&& f) : f_(std::move(f)) {}
  Action run() override { return f_(); }

 private:
  F f_;
};

/// nullptr when there is no memory.
template <class Task, class Base, class F>
std::unique_ptr<Base> make_task(F&& f) try {
  return std::make_unique<Task>(std::forward<F>(f));
} catch (const std::bad_alloc&) {
  return nullptr;
}

/// A function that is to be called later and what calls it share one block of memory: that has the room before the
/// task. What does not fit behind the room is kept elsewhere.
inline constexpr std::size_t kTimedBlock = 168;
inline constexpr std::size_t kTimedRoom = 128;

/// Such a block. Throws std::bad_alloc.
void* new_timed_block();
void delete_timed_block(void* block) noexcept;

/// The block of a task, which begins where its base does.
inline void* timed_block(void* task) noexcept { return static_cast<std::byte*>(task) - kTimedRoom; }

struct DestroyTimed {
  template <class Task>
  void operator()(Task* task) const noexcept {
    task->~Task();
    delete_timed_block(timed_block(task));
  }
};

/// A task in such a block.
template <class Task>
using TimedPtr = std::unique_ptr<Task, DestroyTimed>;

/// nullptr when there is no memory.
template <template <class> class TaskOf, class Base, class F>
TimedPtr<Base> make_timed(F&& f) try {
  using Task = TaskOf<F>;
  if constexpr (sizeof(Task) > kTimedBlock - kTimedRoom || alignof(Task) > __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
    return make_timed<TaskOf, Base>(
        [boxed = std::make_unique<F>(std::move(f))](auto&... arguments) { return (*boxed)(arguments...); });
  } else {
    struct Delete {
      void operator()(void* block) const noexcept { delete_timed_block(block); }
    };
    std::unique_ptr<void, Delete> block(new_timed_block());
    Base* const task = ::new (static_cast<std::byte*>(block.get()) + kTimedRoom) Task(std::move(f));
    block.release();
    return TimedPtr<Base>(task);
  }
} catch (const std::bad_alloc&) {
  return nullptr;
}

}  // namespace evio::internal
