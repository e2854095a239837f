#pragma once

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

}  // namespace evio::internal
