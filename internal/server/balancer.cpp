#include "internal/server/balancer.hpp"

#include <algorithm>

namespace evio::internal {

int Balancer::choose(int accepting_loop, bool kernel_balanced, std::uint64_t random) {
  const std::size_t loops = counts_.size();
  switch (policy_) {
    case LoadBalance::RoundRobin:
      return static_cast<int>(next_.fetch_add(1, std::memory_order_relaxed) % loops);
    case LoadBalance::LeastConnections:
      return fewest();
    case LoadBalance::SourceAddrHash:
    case LoadBalance::Random:
      break;
  }
  return kernel_balanced ? accepting_loop : static_cast<int>(random % loops);
}

int Balancer::fewest() {
  const std::lock_guard lock(mutex_);
  const auto loop = std::ranges::min_element(counts_);
  ++*loop;
  return static_cast<int>(loop - counts_.begin());
}

void Balancer::on_closed(int loop) noexcept {
  if (policy_ != LoadBalance::LeastConnections) return;
  const std::lock_guard lock(mutex_);
  --counts_[static_cast<std::size_t>(loop)];
}

}  // namespace evio::internal
