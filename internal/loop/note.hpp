#pragma once

#include <cstdint>

#include "evio/detail/ref_counted.hpp"

namespace evio::internal {

/// A word from one thread to a loop: look at this connection, and why. It has one hold of the connection, which whoever
/// takes the note takes over.
/// Thread-safety: a plain value.
struct Note {
  enum class Kind : std::uint8_t {
    kRequest,  // other threads ask something of it
    kFlush,    // a callback of its own loop has added to its output
    kAdopt,    // it was accepted for this loop
  };

  Kind kind;
  RefCounted* peer;

  static Note about(Kind kind, RefCounted& peer) noexcept {
    peer.retain();
    return {kind, &peer};
  }
  /// Takes the peer's hold over.
  static Note adopt(RefCounted* peer) noexcept { return {Kind::kAdopt, peer}; }
};

}  // namespace evio::internal
