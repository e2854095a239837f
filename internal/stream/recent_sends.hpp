#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "internal/stream/requests.hpp"

namespace evio::internal {

/// The last text that a thread has sent to each of a few connections. As long as nothing has come after it, and the
/// loop has not looked, the thread is ahead of the loop: what it sends next to that connection goes into a request with
/// room for more, which the thread holds. So a flood of short texts needs a request for some twenty of them, not for
/// each. Where it is not ahead, this costs a comparison.
/// Thread-safety: each thread has its own.
class RecentSends {
 public:
  /// Sends bytes, which are copied. kRefused also when there is no memory.
  static Requests::Added send(Requests& to, std::string_view bytes, BlockPool& pool) noexcept {
    Recent& recent = of(to);
    if (bytes.size() <= Request::kMostWithRoom && to.would_follow(address(recent)))
      return send_ahead(recent, to, bytes, pool);
    return send_new(recent, to, Request::copy(bytes, pool), 0);
  }

 private:
  // The address of a request, and kHeld if it is more than an address.
  using Recent = std::uintptr_t;
  static constexpr Recent kHeld = 1;
  // Several connections share a place. What one has left there is not ahead of anybody in the others' eyes.
  static constexpr std::size_t kPlaces = 16;
  static constexpr std::size_t kDistance = 64;

  static Recent& of(const Requests& requests) noexcept {
    return places[(reinterpret_cast<std::uintptr_t>(&requests) / kDistance) % kPlaces];
  }
  static Request* address(Recent recent) noexcept { return reinterpret_cast<Request*>(recent & ~kHeld); }
  static bool is_held(Recent recent) noexcept { return (recent & kHeld) != 0; }

  static Requests::Added send_new(Recent& recent, Requests& to, Request* request, Recent held) noexcept {
    if (is_held(recent)) [[unlikely]]
      address(recent)->let_go();
    if (request == nullptr) {
      recent = 0;
      return Requests::Added::kRefused;
    }
    recent = reinterpret_cast<Recent>(request) | held;
    return to.send(request);
  }
  [[gnu::noinline]] static Requests::Added send_ahead(Recent& recent, Requests& to, std::string_view bytes,
                                                      BlockPool& pool) noexcept;

  struct Guard {
    ~Guard();
    void touch() noexcept {}  // makes it, and has it destroyed with the thread
  };

  // Plain values, so that they may be used while other objects of an ending thread are destroyed.
  static inline thread_local std::array<Recent, kPlaces> places{};
  static inline thread_local bool ending = false;
  static inline thread_local Guard guard;
};

}  // namespace evio::internal
