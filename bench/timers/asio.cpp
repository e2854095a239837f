// asio as its users write it: a steady_timer each, of a loop without locks and with a concrete executor.
#include <asio.hpp>
#include <deque>

#include "run.hpp"

namespace {

using Executor = asio::io_context::executor_type;
using SteadyTimer =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;

/// Thread-safety: the loop's thread.
class AsioTimers {
 public:
  explicit AsioTimers(std::size_t number) {
    for (std::size_t i = 0; i != number; ++i) timers_.emplace_back(context_);
  }

  void arm(std::size_t i, timers::Nanoseconds delay) {
    timers_[i].expires_after(delay);
    timers_[i].async_wait([this](std::error_code error) {
      if (!error) ++expired;
    });
  }
  void arm_anew(std::size_t i, timers::Nanoseconds delay) { arm(i, delay); }
  void cancel(std::size_t i) { timers_[i].cancel(); }

  template <class Step>
  void run(Step step) {
    next_turn(step);
    context_.run();
  }

  std::size_t expired = 0;

 private:
  template <class Step>
  void next_turn(Step step) {
    asio::post(context_, [this, step] {
      if (step()) next_turn(step);
    });
  }

  asio::io_context context_{ASIO_CONCURRENCY_HINT_UNSAFE_IO};
  std::deque<SteadyTimer> timers_;
};

}  // namespace

int main(int argc, char** argv) { timers::Bench<AsioTimers>(timers::parse(argc, argv)).run(); }
