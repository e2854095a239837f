/// What is asked of a connection beside bytes, a wake and its end: functions, at once or later, a deadline, a pause,
/// the end of its output, an abort.
#include <new>
#include <utility>

#include "internal/stream/stream.hpp"
#include "internal/stream/stream_host.hpp"

namespace evio::internal {

/// A function that is to be called later. It keeps the connection's memory, as a handle does.
class Stream::Timed final : public TimedTask {
 public:
  Timed(Stream& stream, TimePoint due, Held<ConnTask> task) noexcept : TimedTask(due), task_(std::move(task)) {
    stream.retain();
    stream_ = RefPtr<Stream>(&stream);
  }

  Action run(Conn& conn) { return stream_->host_.call_task(*task_, conn, "post_after"); }

  /// The same function, to be called as one that is posted.
  class Late final : public ConnTask {
   public:
    explicit Late(Timed& timed) noexcept : task_(std::move(timed.task_)) {
      timed.retain();
      memory_ = RefPtr<Timed>(&timed);
    }
    Action run(Conn& conn, Output& out) override { return task_->run(conn, out); }

   private:
    RefPtr<Timed> memory_;
    Held<ConnTask> task_;
  };

 private:
  void call() noexcept override { stream_->call_timed(*this); }
  void drop() noexcept override { task_.reset(); }
  TimedTasks* list() noexcept override {
    if (stream_->state_.stage > Stage::kOpen || stream_->is_closing()) return nullptr;
    try {
      return &stream_->extras().timed;
    } catch (...) {
      stream_->run(stream_->out_of_memory());  // another thread was told that it is called: it must not just be lost
      return nullptr;
    }
  }
  Loop& loop() noexcept override { return stream_->host_.loop_; }
  NoteQueue& queue() noexcept override { return stream_->queue(); }

  RefPtr<Stream> stream_;
  Held<ConnTask> task_;
};

bool Stream::add_function(Request::What&& what) noexcept {
  if (is_closing()) return false;
  Request* const request = Request::make(std::move(what), queue().blocks());
  return on_loop() ? add_own(request) : add_request(request);
}

bool Stream::post(std::unique_ptr<ConnTask> task) { return add_function(std::move(task)); }

RefPtr<TimedTask> Stream::post_after(std::chrono::nanoseconds delay, TimedPtr<ConnTask> task) try {
  if (is_closing()) return {};
  if (on_loop()) extras();
  RefPtr<TimedTask> timed = TimedTask::make<Timed>(std::move(task), *this, time_after(delay));
  return TimedTask::post(timed) ? timed : RefPtr<TimedTask>();
} catch (const std::bad_alloc&) {
  return {};
}

void Stream::call_timed(Timed& timed) noexcept {
  if (is_unopened()) {  // it is late, but nothing is called before `opened`
    std::unique_ptr<ConnTask> late(new (std::nothrow) Timed::Late(timed));
    if (late == nullptr || !add_function(std::move(late))) cancel_opening();
    return;
  }
  if (has_requests()) put_requests_first();
  if (!is_open() || is_closing()) return;
  try {
    run(call([&] { return timed.run(handle()); }));
  } catch (...) {
    run(out_of_memory());
  }
}

bool Stream::expires_after(std::chrono::nanoseconds delay) {
  const TimePoint deadline = delay.count() > 0 ? time_after(delay) : Timer::kNever;
  if (!on_loop() || is_unopened()) return add_function(deadline);
  if (is_closing()) return false;
  try {
    set_deadline(deadline);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

bool Stream::close_write() {
  Request* const request = Request::make(Request::EndOutput(), queue().blocks());
  if (request == nullptr) return false;
  if (!on_loop()) return notify_loop(requests_.end_output(request));
  if (requests_.refuses_output()) {
    request->destroy();
    return false;
  }
  requests_.refuse_output();
  return add_own(request);
}

bool Stream::pause() { return requests_.pause(); }
bool Stream::resume() { return notify_loop(requests_.resume()); }

bool Stream::abort() {
  Abort none = Abort::kNone;
  if (!abort_.compare_exchange_strong(none, Abort::kAsked, std::memory_order_relaxed)) return false;
  requests_.refuse();
  if (on_loop())
    state_.output |= kAborted;  // at the latest when the callback under way returns, whose output is dropped
  if (!post_note(Note::Kind::kAbort)) queue().post(Signal::kSweep);
  return true;
}

std::size_t Stream::pending_bytes() const {
  return abort_.load(std::memory_order_relaxed) == Abort::kTooLate ? 0 : pending_bytes_.now();
}

int Stream::native_handle() const { return on_loop() && in_own_callback() ? transport_.fd() : -1; }

bool Stream::in_own_callback() const noexcept { return host_.current_ == this; }

}  // namespace evio::internal
