#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <functional>
#include <string_view>
#include <utility>

#include "evio/bytes.hpp"

namespace evio {

namespace internal {
class Buffer;
}

/// Input that arrives in pieces: keeps what could not be used yet and offers it again with what comes next. However the
/// input is cut, the work is linear in it. Keep one in the connection's context. Movable, not copyable. Thread-safety:
/// one thread at a time.
class InputStream {
 public:
  InputStream() = default;
  InputStream(InputStream&& other) noexcept;
  InputStream& operator=(InputStream&& other) noexcept;
  ~InputStream();

  /// What was kept with `packet` behind it: the packet itself when nothing was kept. The view lives until the next call
  /// of this stream, and, where it is the packet itself, as long as that.
  std::string_view begin(std::string_view packet);
  /// Keeps `rest`, the part at the end of begin()'s view that could not be used yet.
  void end(std::string_view rest);

  /// Calls consume with what is unread, never with nothing, until it returns 0 or nothing is left, and keeps the rest.
  /// consume returns how many of the bytes it used. Fed nothing, as by a wake, it offers what was kept. Given Bytes,
  /// consume gets Bytes, so that a value can be kept without copying; given anything else, a std::string_view.
  /// More than it was offered is all of it. It must not use this stream. What is kept has no limit of its own: a
  /// handler that gets no whole message out of too many bytes should close. When consume throws, what it was offered is
  /// kept.
  template <class In, class Consume>
  requires std::convertible_to<const In&, std::string_view>
  void feed(const In& in, Consume&& consume);

 private:
  Bytes join(const Bytes& packet);
  void keep(const Bytes& rest);
  void forget() noexcept;

  Bytes kept_;                          // unread, in buffer_ or, when large, in the storage it arrived in
  internal::Buffer* buffer_ = nullptr;  // where more can be added behind kept_; held
  std::size_t used_ = 0;                // how much of buffer_ is filled
};

template <class In, class Consume>
requires std::convertible_to<const In&, std::string_view>
void InputStream::feed(const In& in, Consume&& consume) {
  constexpr bool kBytes = std::same_as<In, Bytes>;
  Bytes rest;
  if constexpr (kBytes) {
    rest = join(in);
  } else {
    rest = join(Bytes::literal(std::string_view(in)));  // borrowed for this call: keep() copies it
  }
  try {
    while (!rest.empty()) {
      std::size_t used = 0;
      if constexpr (kBytes) {
        used = static_cast<std::size_t>(std::invoke(consume, std::as_const(rest)));
      } else {
        const std::string_view unread = rest.view();
        used = static_cast<std::size_t>(std::invoke(consume, unread));
      }
      if (used == 0) break;
      rest.remove_prefix(used);
    }
  } catch (...) {
    keep(rest);
    throw;
  }
  keep(rest);
}

}  // namespace evio
