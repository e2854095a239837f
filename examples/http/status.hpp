#pragma once

#include <cstdint>
#include <optional>

namespace http {

/// The state of a request: wait for more of it, or answer with this.
enum class Status : std::uint16_t {
  kMore = 0,            ///< It is incomplete.
  kContinue = 100,      ///< Its head is complete, and its sender waits for 100 Continue. Returned once.
  kDone = 200,          ///< It is complete.
  kBadRequest = 400,    ///< It is not HTTP.
  kTooLarge = 413,      ///< Its body exceeds a limit.
  kUriTooLong = 414,    ///< Its target exceeds the limit of a head.
  kHeadTooLarge = 431,  ///< Its fields exceed it.
  kNotImplemented = 501,
  kVersionNotSupported = 505,
};

/// The result of one step through a request: go on with the next, or a status.
using Step = std::optional<Status>;
inline constexpr Step kNext = std::nullopt;

}  // namespace http
