#include "internal/server/balancer.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <random>
#include <span>
#include <thread>
#include <utility>

#include "internal/net/addr_access.hpp"

namespace evio::internal {
namespace {

// Each bit of the result depends on every bit of the number (SplitMix64's last step): addresses that follow each other
// are spread.
std::uint64_t mixed(std::uint64_t number) noexcept {
  number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9;
  number = (number ^ number >> 27) * 0x94d049bb133111eb;
  return number ^ number >> 31;
}

std::uint64_t hash(std::span<const unsigned char> bytes) noexcept {
  std::uint64_t hash = bytes.size();
  std::uint64_t eight = 0;
  for (std::size_t i = 0; i != bytes.size(); ++i) {
    eight = eight << 8 | bytes[i];
    if (i % 8 == 7 || i + 1 == bytes.size()) hash = mixed(hash + std::exchange(eight, 0) + 0x9e3779b97f4a7c15);
  }
  return hash;
}

}  // namespace

std::uint64_t random_number() {
  static thread_local std::minstd_rand numbers([] {
    const auto now = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    return static_cast<std::minstd_rand::result_type>(now + std::hash<std::thread::id>()(std::this_thread::get_id()));
  }());
  return numbers();
}

int Balancer::choose(int accepting_loop, bool kernel_balanced, std::uint64_t random, const Addr& peer) {
  switch (policy_) {
    case LoadBalance::RoundRobin:
      return next();
    case LoadBalance::LeastConnections:
      return fewest();
    case LoadBalance::SourceAddrHash:
      return loop_of(peer);
    case LoadBalance::Random:
      break;
  }
  return kernel_balanced ? accepting_loop : static_cast<int>(random % counts_.size());
}

int Balancer::next() noexcept {
  return static_cast<int>(next_.fetch_add(1, std::memory_order_relaxed) % counts_.size());
}

int Balancer::loop_of(const Addr& peer) noexcept {
  const auto bytes = AddrAccess::ip_bytes(peer);
  return bytes.empty() ? next() : static_cast<int>(hash(bytes) % counts_.size());
}

int Balancer::fewest() {
  const std::lock_guard lock(mutex_);
  const auto loop = std::ranges::min_element(counts_);
  ++*loop;
  return static_cast<int>(loop - counts_.begin());
}

void Balancer::add(int loop) {
  if (policy_ != LoadBalance::LeastConnections) return;
  const std::lock_guard lock(mutex_);
  ++counts_[static_cast<std::size_t>(loop)];
}

void Balancer::on_closed(int loop) noexcept {
  if (policy_ != LoadBalance::LeastConnections) return;
  const std::lock_guard lock(mutex_);
  --counts_[static_cast<std::size_t>(loop)];
}

}  // namespace evio::internal
