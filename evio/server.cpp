#include "evio/server.hpp"

#include <utility>

#include "internal/server/dialer.hpp"
#include "internal/server/server_state.hpp"

namespace evio {

const std::vector<Addr>& Server::addrs() const noexcept {
  static const std::vector<Addr> kNone;
  return state_ ? state_->addrs : kNone;
}

int Server::num_loops() const noexcept { return state_ ? static_cast<int>(state_->queues.size()) : 0; }

void Server::shutdown() const noexcept {
  if (state_) state_->shut_down();
}

void Server::drain(std::chrono::nanoseconds at_most) const noexcept {
  if (state_) state_->drain(at_most);
}

bool Server::draining() const noexcept { return state_ && state_->draining(); }

std::vector<int> Server::dup_listeners() const { return state_ ? state_->copies().make() : std::vector<int>(); }

Stats Server::stats(int loop) const noexcept {
  Stats stats;
  if (!state_ || loop < -1 || loop >= static_cast<int>(state_->figures.size())) return stats;
  if (loop >= 0) {
    state_->figures[static_cast<std::size_t>(loop)]->add_to(stats);
  } else {
    for (const auto& figures : state_->figures) figures->add_to(stats);
  }
  return stats;
}

Conn Server::dial_with(std::string_view addr, Dial how, std::unique_ptr<internal::Context> context) const {
  return state_ ? internal::Dialer::dial(*state_, addr, std::move(how), std::move(context)) : Conn();
}

Conn Server::adopt_with(DetachedConn socket, std::unique_ptr<internal::Context> context, int loop) const {
  return state_ ? internal::Dialer::adopt(*state_, std::move(socket), std::move(context), loop) : Conn();
}

bool Server::post_task(int loop, std::unique_ptr<internal::LoopTask> task) const {
  if (loop < 0 || loop >= num_loops() || task == nullptr) return false;
  const auto index = static_cast<std::size_t>(loop);
  return internal::LoopTasks::post(*state_->tasks[index], *state_->queues[index], std::move(task));
}

Timer Server::post_task_after(int loop, std::chrono::nanoseconds delay,
                              internal::TimedPtr<internal::LoopTask> task) const {
  if (loop < 0 || loop >= num_loops() || task == nullptr) return {};
  const auto index = static_cast<std::size_t>(loop);
  return internal::TimerAccess::handle(
      internal::LoopTasks::post_after(*state_->tasks[index], state_->queues[index], delay, std::move(task)));
}

}  // namespace evio
