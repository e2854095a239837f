#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <system_error>
#include <vector>

#include "evio/events.hpp"

namespace evio::internal {

class ServerControl;

/// Calls Events::notice, for each kind and loop once a second at most. Thread-safety: any loop's thread.
class Notices {
 public:
  Notices(const Events& events, ServerControl& server, int loops)
      : events_(events), server_(server), loops_(static_cast<std::size_t>(loops)) {}

  void tell(int loop, Notice what, std::error_code code, std::string_view message) noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  struct Kind {
    Clock::time_point next{};    // not before then
    std::uint64_t left_out = 0;  // since the last one
  };
  static constexpr std::size_t kKinds = static_cast<std::size_t>(Notice::SlowCallback) + 1;

  const Events& events_;
  ServerControl& server_;
  std::mutex mutex_;  // for loops_: a loop may accept for another one
  std::vector<std::array<Kind, kKinds>> loops_;
};

}  // namespace evio::internal
