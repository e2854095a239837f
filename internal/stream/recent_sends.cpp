#include "internal/stream/recent_sends.hpp"

namespace evio::internal {

// Into the request that the last send has made, or into a new one with room for more.
Requests::Added RecentSends::send_ahead(Recent& recent, Requests& to, std::string_view bytes,
                                        BlockPool& pool) noexcept {
  if (is_held(recent) && address(recent)->append(bytes)) return Requests::Added::kQueued;
  guard.touch();
  if (ending) return send_new(recent, to, Request::copy(bytes, pool), 0);  // nobody would let it go
  return send_new(recent, to, Request::with_room(bytes, pool), kHeld);
}

RecentSends::Guard::~Guard() {
  ending = true;
  for (Recent& recent : places) {
    if (is_held(recent)) address(recent)->let_go();
    recent = 0;
  }
}

}  // namespace evio::internal
