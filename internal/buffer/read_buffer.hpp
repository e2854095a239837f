#pragma once

#include <cstddef>
#include <span>

#include "evio/bytes.hpp"
#include "internal/base/sanitizer.hpp"
#include "internal/buffer/buffer.hpp"
#include "internal/buffer/bytes_access.hpp"

namespace evio::internal {

/// Where a loop reads into. A handler that keeps a copy of its input keeps the bytes where they are: the next read goes
/// after them, or into a fresh buffer, so that nothing is ever copied and small values that are kept share a buffer.
///
/// Under AddressSanitizer a handler gets a copy of each read, in storage of its own that is freed when the handler has
/// returned, unless it keeps some: a view that is used later is a view of freed memory, whatever has been read since.
/// Thread-safety: its loop's thread; the Bytes it gives out, any.
class ReadBuffer {
 public:
  /// As much as one read(2) takes: bulk transfers gain up to here, as each read and write wakes somebody, and what was
  /// never read into costs no memory.
  static constexpr std::size_t kSize = 256 * 1024;

  ReadBuffer() { renew(); }

  /// Where to read next; never less than a quarter of kSize. Lives until the next call. Throws std::bad_alloc.
  std::span<char> room() {
    Buffer& buffer = *buffer_;
    const std::span<char> room = buffer.unshared() ? std::span(buffer.data(), kSize) : room_after_kept();
    if constexpr (kAddressSanitizer) unpoison(room.data(), room.size());
    return room;
  }
  /// What was read into the beginning of room() as a handler gets it: sharing the storage, or unowned, which is valid
  /// for the call only. Lives until done().
  const Bytes& filled(const char* data, std::size_t size, bool unowned) noexcept(!kAddressSanitizer) {
    if constexpr (kAddressSanitizer) {
      copy_ = Bytes::copy({data, size});
      poison(data, size);
      data = copy_.data();
    }
    Bytes& input = unowned ? unowned_ : kAddressSanitizer ? copy_ : input_;
    BytesAccess::set_range(input, data, size);
    return input;
  }
  /// The handler has returned.
  void done() noexcept {
    if constexpr (kAddressSanitizer) copy_ = {};
  }

 private:
  std::span<char> room_after_kept();
  void renew();

  Bytes input_;  // what was read last; owns the buffer
  Bytes unowned_ = BytesAccess::make_unowned({});
  Bytes copy_;  // for AddressSanitizer
  Buffer* buffer_ = nullptr;
};

}  // namespace evio::internal
