#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "evio/events.hpp"

namespace evio::internal {

/// Decides which loop gets a connection. Random numbers come from the loop that asks, so nothing is shared for them.
/// Thread-safety: any thread. It is asked once for each accepted connection.
class Balancer {
 public:
  Balancer(LoadBalance policy, int loops) : policy_(policy), counts_(static_cast<std::size_t>(loops)) {}

  /// The loop for the next connection, which is counted there until release(). `here` is the loop that accepted it,
  /// `spread` says that the kernel has chosen it already among the loops (reuseport); `random` is any number.
  int choose(int here, bool spread, std::uint64_t random);
  /// One connection of this loop is gone.
  void release(int loop);

 private:
  int fewest();

  const LoadBalance policy_;
  // relaxed: only the number counts.
  std::atomic<std::uint64_t> next_{0};
  std::mutex mutex_;         // for counts_, so that two loops accepting at once do not choose the same one
  std::vector<int> counts_;  // connections by loop; kept for LeastConnections only
};

}  // namespace evio::internal
