// libuv as its users write it: the handles are theirs, and are made once. To arm one is to start it.
#include <uv.h>

#include <functional>
#include <vector>

#include "run.hpp"

namespace {

/// Thread-safety: the loop's thread.
class UvTimers {
 public:
  explicit UvTimers(std::size_t number) : timers_(number) {
    uv_loop_init(&loop_);
    for (uv_timer_t& timer : timers_) {
      uv_timer_init(&loop_, &timer);
      timer.data = this;
    }
  }

  void arm(std::size_t i, timers::Nanoseconds delay) {
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(delay).count();
    uv_timer_start(
        &timers_[i], [](uv_timer_t* timer) { ++static_cast<UvTimers*>(timer->data)->expired; },
        static_cast<std::uint64_t>(milliseconds), 0);
  }
  void arm_anew(std::size_t i, timers::Nanoseconds delay) { arm(i, delay); }
  void cancel(std::size_t i) { uv_timer_stop(&timers_[i]); }

  template <class Step>
  void run(Step step) {
    step_ = step;
    uv_idle_t turn;
    uv_idle_init(&loop_, &turn);
    turn.data = this;
    uv_idle_start(&turn, [](uv_idle_t* idle) {
      if (!static_cast<UvTimers*>(idle->data)->step_()) uv_stop(idle->loop);
    });
    uv_run(&loop_, UV_RUN_DEFAULT);
  }

  std::size_t expired = 0;

 private:
  uv_loop_t loop_{};
  std::vector<uv_timer_t> timers_;
  std::function<bool()> step_;
};

}  // namespace

int main(int argc, char** argv) { timers::Bench<UvTimers>(timers::parse(argc, argv)).run(); }
