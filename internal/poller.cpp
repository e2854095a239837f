#include "internal/poller.hpp"

#include <algorithm>

namespace evio::internal {

int timeout_ms(std::chrono::nanoseconds timeout) noexcept {
  constexpr std::chrono::hours kLongest(24 * 7);  // fits an int of milliseconds; waking once a week is free
  if (timeout.count() < 0) return -1;
  return static_cast<int>(
      std::chrono::ceil<std::chrono::milliseconds>(std::min<std::chrono::nanoseconds>(timeout, kLongest)).count());
}

}  // namespace evio::internal
