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
  /// `in` must not change during the call.
  ///
  /// There is no limit to what is kept: a handler should close the connection when an incomplete message gets too long.
  template <class In, class Consume>
  requires std::convertible_to<const In&, std::string_view>
  void feed(const In& in, Consume&& consume);

 private:
  template <bool kBytes, class Consume>
  void consume_and_keep(Bytes& rest, Consume& consume);
  template <bool kBytes, class In, class Consume>
  static std::size_t offer(const In& unread, Consume& consume);
  template <class In>
  static Bytes bytes_of(const In& in);
  template <class Call, class Failed>
  static void guarded(Call call, Failed failed);
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
  // Most packets are whole messages: offering the packet itself costs no reference to its storage.
  if (kept_.empty()) {
    const std::string_view packet(in);
    if (packet.empty()) return;
    std::size_t used = 0;
    guarded([&] { used = offer<kBytes>(in, consume); }, [&] { keep(bytes_of(in)); });
    if (used >= packet.size()) return;
    Bytes rest = bytes_of(in);
    rest.remove_prefix(used);
    return used == 0 ? keep(rest) : consume_and_keep<kBytes>(rest, consume);
  }
  Bytes rest = join(bytes_of(in));
  consume_and_keep<kBytes>(rest, consume);
}

template <bool kBytes, class Consume>
void InputStream::consume_and_keep(Bytes& rest, Consume& consume) {
  const auto consume_all = [&] {
    while (!rest.empty()) {
      const std::size_t used = offer<kBytes>(rest, consume);
      if (used == 0) break;
      rest.remove_prefix(used);
    }
  };
  guarded(consume_all, [&] { keep(rest); });
  keep(rest);
}

template <bool kBytes, class In, class Consume>
std::size_t InputStream::offer(const In& unread, Consume& consume) {
  if constexpr (kBytes) {
    return static_cast<std::size_t>(std::invoke(consume, unread));
  } else {
    const std::string_view view(unread);
    return static_cast<std::size_t>(std::invoke(consume, view));
  }
}

// Unless it is Bytes, what a packet refers to is valid during the call only: keep() copies it.
template <class In>
Bytes InputStream::bytes_of(const In& in) {
  if constexpr (std::same_as<In, Bytes>) {
    return in;
  } else {
    return Bytes::literal(std::string_view(in));
  }
}

template <class Call, class Failed>
void InputStream::guarded(Call call, [[maybe_unused]] Failed failed) {
#ifdef __cpp_exceptions
  try {
    call();
  } catch (...) {
    failed();
    throw;
  }
#else
  call();
#endif
}

}  // namespace evio
