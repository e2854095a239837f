#include "internal/poll/poller.hpp"

#include <algorithm>
#include <cerrno>
#include <thread>

namespace evio::internal {

Error poller_error(std::string_view call, std::error_code code) {
  return Error(code, std::string(call) + ": " + code.message());
}

void back_off_after_failed_wait() noexcept {
  constexpr std::chrono::milliseconds kBackOff{10};
  if (errno != EINTR) std::this_thread::sleep_for(kBackOff);
}

int timeout_ms(std::chrono::nanoseconds timeout) noexcept {
  constexpr std::chrono::hours kLongest(24 * 7);  // fits an int of milliseconds; waking once a week is free
  if (timeout.count() < 0) return -1;
  return static_cast<int>(
      std::chrono::ceil<std::chrono::milliseconds>(std::min<std::chrono::nanoseconds>(timeout, kLongest)).count());
}

}  // namespace evio::internal
