#pragma once

#include <cstdint>
#include <optional>

namespace http {

/// What is to be done about a request: wait, or answer with this.
enum class Status : std::uint16_t {
  kMore = 0,            ///< It is not whole yet.
  kContinue = 100,      ///< Its head is, and its sender waits to be told to go on. Given once: look again.
  kDone = 200,          ///< It is whole.
  kBadRequest = 400,    ///< It is not HTTP.
  kTooLarge = 413,      ///< Its body is over a limit.
  kUriTooLong = 414,    ///< Its target is over the limit of a head.
  kHeadTooLarge = 431,  ///< Its fields are.
  kNotImplemented = 501,
  kVersionNotSupported = 505,
};

/// What a step through a request comes to: the next step, or a status.
using Step = std::optional<Status>;
inline constexpr Step kNext = std::nullopt;

}  // namespace http
