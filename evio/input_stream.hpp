#pragma once

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

/// Input that arrives in pieces: keeps what cannot be used yet and offers it again together with what comes next. The
/// work is linear in the input, no matter how it is split. Usually stored in the connection's context. Movable, not
/// copyable. Thread-safety: one thread at a time.
class InputStream {
 public:
  /// An empty stream.
  InputStream() = default;
  /// Takes over the unread input of `other`, which becomes empty.
  InputStream(InputStream&& other) noexcept;
  /// Takes over the unread input of `other`, which gets this stream's.
  InputStream& operator=(InputStream&& other) noexcept;
  /// Drops the unread input.
  ~InputStream();

  /// Returns the unread input followed by `packet`; `packet` itself if nothing was unread. The view is valid until the
  /// next call on this stream and, if it is `packet` itself, only as long as that is.
  std::string_view begin(std::string_view packet);
  /// Keeps `rest`, the end of begin()'s view that cannot be used yet.
  void end(std::string_view rest);

  /// Calls `consume` with the unread input, which is never empty, until it returns 0 or nothing is left; keeps the
  /// rest.
  ///
  /// `consume` returns how many bytes it used. Returning more than unread.size() consumes everything. It must not use
  /// this stream. If it throws, what it was offered is kept.
  ///
  /// If `in` is Bytes, `consume` gets Bytes, so that it can keep a value without copying it; otherwise it gets a
  /// std::string_view. If `in` is empty, as after a wake, `consume` is offered the input kept so far.
  ///
  /// There is no limit to what is kept: a handler should close the connection when an incomplete message gets too long.
  template <class In, class Consume>
  requires std::convertible_to<const In&, std::string_view>
  void feed(const In& in, Consume&& consume);

 private:
  template <bool kBytes, class Consume>
  static void offer(Bytes& rest, Consume& consume);
  Bytes join(const Bytes& packet);
  void keep(const Bytes& rest);
  void forget() noexcept;

  Bytes kept_;                          // unread, in buffer_ or, when large, in the storage it arrived in
  internal::Buffer* buffer_ = nullptr;  // where more can be appended to kept_; an owned reference
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
    rest = join(Bytes::literal(std::string_view(in)));  // valid during this call only: keep() copies it
  }
#ifdef __cpp_exceptions
  try {
    offer<kBytes>(rest, consume);
  } catch (...) {
    keep(rest);
    throw;
  }
#else
  offer<kBytes>(rest, consume);
#endif
  keep(rest);
}

template <bool kBytes, class Consume>
void InputStream::offer(Bytes& rest, Consume& consume) {
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
}

}  // namespace evio
