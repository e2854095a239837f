#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace evio::internal {

/// The connections of a server over all loops: accepted, dialed and adopted ones, from before they reach their loop
/// until `closed` or `detached` has returned. It only tells whether there are any. Each loop counts in its own cache
/// line, so that accepting and closing share none.
/// Thread-safety: any thread.
class ConnectionCount {
 public:
  explicit ConnectionCount(int loops) : counts_(static_cast<std::size_t>(loops)) {}

  /// relaxed: whoever ends the connection, or sees that it ended, has seen it begin.
  void begin(int loop) noexcept { at(loop).begun.fetch_add(1, std::memory_order_relaxed); }
  /// At any loop. seq_cst: of two loops that end the last connections at once, one sees that there are none.
  void end(int loop) noexcept { at(loop).ended.fetch_add(1, std::memory_order_seq_cst); }
  /// True if there were none at some moment during the call. It reads how many have ended first: connections that begin
  /// and end during the call can only make it see too many.
  bool none() const noexcept {
    std::uint64_t ended = 0;
    for (const Count& count : counts_) ended += count.ended.load(std::memory_order_seq_cst);
    std::uint64_t begun = 0;
    for (const Count& count : counts_) begun += count.begun.load(std::memory_order_relaxed);
    return begun == ended;
  }

 private:
  struct alignas(64) Count {
    std::atomic<std::uint64_t> begun{0};
    std::atomic<std::uint64_t> ended{0};
  };

  Count& at(int loop) noexcept { return counts_[static_cast<std::size_t>(loop)]; }

  std::vector<Count> counts_;
};

}  // namespace evio::internal
