#pragma once

#include <cstdint>

namespace evio::internal {

/// What a poller's tag points at: says which kind of thing has become ready.
struct Source {
  enum class Kind : std::uint8_t { kConnection, kListener, kDatagrams, kWakeUp };

  explicit Source(Kind of) noexcept : kind(of) {}
  const Kind kind;
};

}  // namespace evio::internal
