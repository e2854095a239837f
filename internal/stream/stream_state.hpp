#pragma once

#include <bit>
#include <cstdint>

#include "internal/poll/poller.hpp"

namespace evio::internal {

/// The words in which a connection is described: what it does next, how far its life has come, and the few bytes that
/// tell whether a message takes the shortest path. A base of Stream for their sake alone.
class StreamWords {
 protected:
  /// In this order, and never back.
  enum class Stage : std::uint8_t {
    kUnopened,  // it is dialed, or needs something of its peer before `opened`
    kOpen,
    kEnded,      // `closed` or `detached` is called
    kLingering,  // its socket discards what arrives
    kClosed,
  };

  enum class Abort : std::uint8_t { kNone, kAsked, kTooLate };

  /// What to do next. accept and hand-over come before kOpened; kWait leaves the connection to its poller.
  enum class Step : std::uint8_t {
    kWait,
    kReady,
    kOpened,
    kRead,
    kWake,
    kFunction,
    kWrite,
    kTry,
    kCongested,
    kDrained,
    kEnded,
    kAction,
    kSalvage,
    kIdleTimeout,
    kWriteTimeout,
    kDeadline,
    kCloseTimeout,
    kClose,
    kDetach,
    kLinger,
  };

  /// One comparison tells that a connection is open and watched for input, has no action to take and no output pending.
  struct State {
    Stage stage = Stage::kUnopened;
    Interest interest = Interest::kNone;
    std::uint8_t action = 0;  // an Action, and kBulk
    std::uint8_t output = 0;  // what keeps it from being written at once: a combination of these

    bool only_reads() const noexcept { return is({Stage::kOpen, Interest::kRead, 0, 0}); }
    bool only_reads_timed() const noexcept { return is({Stage::kOpen, Interest::kRead, 0, kTimeouts}); }

   private:
    bool is(State other) const noexcept {
      return std::bit_cast<std::uint32_t>(*this) == std::bit_cast<std::uint32_t>(other);
    }
  };
  /// Registered for another pollable: no stream wants this one, so the first that it does want modifies it.
  static constexpr Interest kAnothers = Interest::kAccept;
  static constexpr std::uint8_t kPending = 1;   // there is an OutputQueue
  static constexpr std::uint8_t kIndirect = 2;  // pre_write is to be called, or it is encrypted
  static constexpr std::uint8_t kSent = 4;    // what is in sent_, then in requested_, leaves before a callback's output
  static constexpr std::uint8_t kEnding = 8;  // close_write(): no output is added any more
  static constexpr std::uint8_t kCongested = 16;  // `congested` was called, or would have been
  static constexpr std::uint8_t kAborted = 32;    // abort(): it ends with this step
  static constexpr std::uint8_t kTimed = 64;      // there is a write_timeout
  static constexpr std::uint8_t kTimeouts = 128;  // timeouts_ exists
  static constexpr std::uint8_t kBulk = 128;      // it has moved much in bulk_turn_: others that are ready come first
};

}  // namespace evio::internal
