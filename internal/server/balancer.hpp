#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "evio/addr.hpp"
#include "evio/events.hpp"

namespace evio::internal {

/// A random number of the calling thread's own: nothing is shared for it.
std::uint64_t random_number();

/// Decides which loop gets a connection. Random numbers come from the thread that asks, so nothing is shared for them.
/// Thread-safety: any thread. It is asked once for each accepted connection.
class Balancer {
 public:
  Balancer(LoadBalance policy, int loops) : policy_(policy), counts_(static_cast<std::size_t>(loops)) {}

  /// The loop for the next connection, which counts there until on_closed(). `kernel_balanced` says that the kernel has
  /// already chosen the accepting loop (reuseport); `random` is any number, or 0 unless draws(). SourceAddrHash goes by
  /// the IP of `peer`; those without one, unix sockets, go round.
  int choose(int accepting_loop, bool kernel_balanced, std::uint64_t random, const Addr& peer);
  /// Whether choose() needs the random number.
  bool draws(bool kernel_balanced) const noexcept {
    return policy_ == LoadBalance::Random && !kernel_balanced && counts_.size() > 1;
  }
  /// The next connection is this loop's, and counts there.
  void add(int loop);
  /// A connection of this loop has closed.
  void on_closed(int loop) noexcept;

 private:
  int next() noexcept;
  int fewest();
  int loop_of(const Addr& peer) noexcept;

  const LoadBalance policy_;
  // relaxed: only the number counts.
  std::atomic<std::uint64_t> next_{0};
  std::mutex mutex_;         // for counts_, so that two loops accepting at once do not choose the same one
  std::vector<int> counts_;  // connections by loop; kept for LeastConnections only
};

}  // namespace evio::internal
