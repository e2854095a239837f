#pragma once

#include <cstdint>

#include "evio/detail/ref_counted.hpp"

namespace evio::internal {

/// What a note is about. Thread-safety: its loop's thread.
class NoteTarget : public RefCounted {
 public:
  /// Other threads have sent something, woken it or closed it.
  virtual void on_request() noexcept = 0;
  /// It has asked for another turn, for what on_request() left.
  virtual void on_continue() noexcept = 0;
  /// A callback of its own loop has sent something.
  virtual void on_flush() noexcept = 0;
  /// It is this loop's from now on, whose reference `self` becomes.
  virtual void on_adopt(RefPtr<NoteTarget> self) noexcept = 0;
  /// It is to end at once.
  virtual void on_abort() noexcept {}
  /// The loop has ended before it took that note.
  virtual void on_discard() noexcept {}
};

/// What reaches a loop from elsewhere. It owns a reference. Thread-safety: a plain value.
struct Note {
  enum class Kind : std::uint8_t {
    kRequest,
    kContinue,
    kFlush,
    kAdopt,
    kAbort,
  };

  Kind kind = Kind::kRequest;
  RefPtr<NoteTarget> about;
};

/// What reaches a loop without needing memory: these cannot be lost, and a signal handler can post them.
enum class Signal : std::uint32_t {
  kNone = 0,
  kShutdown = 4,   // the server shuts down
  kTick = 8,       // call the first tick
  kSweep = 16,     // there was no memory for a note: look at every connection
  kStopping = 32,  // the server is to shut down: loop 0 says so first
  kListen = 64,    // there is an order for a listener
  kDrain = 128,    // the listeners close
};

constexpr Signal operator|(Signal a, Signal b) noexcept {
  return static_cast<Signal>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
constexpr bool contains(Signal signals, Signal one) noexcept {
  return (static_cast<std::uint32_t>(signals) & static_cast<std::uint32_t>(one)) != 0;
}

}  // namespace evio::internal
