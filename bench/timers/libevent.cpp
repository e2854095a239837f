// libevent as its users write it: the events are theirs, and are assigned once. An eventfd(2) that is never read is
// ready in each turn.
#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/eventfd.h>

#include <functional>
#include <vector>

#include "run.hpp"

namespace {

/// Thread-safety: the loop's thread.
class LibeventTimers {
 public:
  explicit LibeventTimers(std::size_t number) : base_(event_base_new()), timers_(number) {
    for (event& timer : timers_) {
      evtimer_assign(
          &timer, base_, [](evutil_socket_t, short, void* self) { ++static_cast<LibeventTimers*>(self)->expired; },
          this);
    }
  }

  void arm(std::size_t i, timers::Nanoseconds delay) {
    const auto microseconds = std::chrono::ceil<std::chrono::microseconds>(delay).count();
    const timeval time{microseconds / 1'000'000, microseconds % 1'000'000};
    evtimer_add(&timers_[i], &time);
  }
  void arm_anew(std::size_t i, timers::Nanoseconds delay) { arm(i, delay); }
  void cancel(std::size_t i) { evtimer_del(&timers_[i]); }

  template <class Step>
  void run(Step step) {
    step_ = step;
    event turn;
    event_assign(
        &turn, base_, eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC), EV_READ | EV_PERSIST,
        [](evutil_socket_t, short, void* data) {
          auto& self = *static_cast<LibeventTimers*>(data);
          if (!self.step_()) event_base_loopbreak(self.base_);
        },
        this);
    event_add(&turn, nullptr);
    event_base_dispatch(base_);
  }

  std::size_t expired = 0;

 private:
  event_base* base_;
  std::vector<event> timers_;
  std::function<bool()> step_;
};

}  // namespace

int main(int argc, char** argv) { timers::Bench<LibeventTimers>(timers::parse(argc, argv)).run(); }
