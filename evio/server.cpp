#include "evio/server.hpp"

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

}  // namespace evio
