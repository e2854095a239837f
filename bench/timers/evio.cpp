// This library: Server::post_after and Timer::cancel. A function that is to be called later is made anew each time.
#include <evio/evio.hpp>
#include <iostream>
#include <utility>
#include <vector>

#include "run.hpp"

namespace {

/// Thread-safety: the loop's thread.
class EvioTimers {
 public:
  explicit EvioTimers(std::size_t number) : timers_(number) {}

  void arm(std::size_t i, timers::Nanoseconds delay) {
    timers_[i] = server_.post_after(0, delay, [this] {
      ++expired;
      return evio::Action::None;
    });
  }
  void arm_anew(std::size_t i, timers::Nanoseconds delay) {
    timers_[i].cancel();
    arm(i, delay);
  }
  void cancel(std::size_t i) { timers_[i].cancel(); }

  template <class Step>
  void run(Step step) {
    evio::Events events;
    events.serving = [this, step](const evio::Server& server) {
      server_ = server;
      next_turn(step);
      return evio::Action::None;
    };
    if (auto error = evio::serve(std::move(events), "tcp4://127.0.0.1:0")) std::cerr << error.message() << '\n';
  }

  std::size_t expired = 0;

 private:
  template <class Step>
  void next_turn(Step step) {
    server_.post(0, [this, step] {
      if (!step()) return evio::Action::Shutdown;
      next_turn(step);
      return evio::Action::None;
    });
  }

  evio::Server server_;
  std::vector<evio::Timer> timers_;
};

}  // namespace

int main(int argc, char** argv) { timers::Bench<EvioTimers>(timers::parse(argc, argv)).run(); }
