#pragma once

#include <cstddef>
#include <span>

#include "evio/bytes.hpp"
#include "internal/base/sanitizer.hpp"
#include "internal/buffer/buffer.hpp"
#include "internal/buffer/bytes_access.hpp"

namespace evio::internal {

/// Where a loop reads into. A handler that keeps a copy of its input keeps the bytes where they are: the next read goes
/// behind them, or into a fresh block, so that nothing is ever copied and small values that are kept share a block.
///
/// Under AddressSanitizer a handler gets a copy of each read, in storage of its own that is freed when the handler is
/// done, unless it keeps some: a view that is used later is a view of freed memory, whatever has been read meanwhile.
/// Thread-safety: its loop's thread; the Bytes it gives out, any.
class ReadBuffer {
 public:
  /// As much as one read(2) takes: bulk transfers gain up to here (each read and write wakes somebody), and what no one
  /// has read into costs no memory.
  static constexpr std::size_t kSize = 256 * 1024;

  ReadBuffer() { renew(); }

  /// Where to read next; never less than a quarter of kSize. Lives until recycle(). Throws std::bad_alloc.
  std::span<char> room() {
    if (room_ < kSize / 4) [[unlikely]]
      renew();
    unpoison(next_, room_);
    return {next_, room_};
  }
  /// The first n bytes of room() as what a handler gets: sharing the storage, or lent for the call only.
  const Bytes& filled(std::size_t n, bool lent) noexcept(!kAddressSanitizer) {
    if constexpr (kAddressSanitizer) {
      copy_ = Bytes::copy({next_, n});
      poison(next_, room_);
      return lent ? lend(copy_) : copy_;
    }
    BytesAccess::point(input_, next_, n);
    if (lent) [[unlikely]]
      return lend(input_);
    return input_;
  }
  /// The handler is done: makes room again.
  void recycle() noexcept {
    if constexpr (kAddressSanitizer) copy_ = {};
    if (block_->unshared()) [[likely]] {
      if (room_ != kSize) [[unlikely]]
        rewind();
    } else {
      pass_over();
    }
  }

 private:
  void renew();
  void pass_over() noexcept;
  const Bytes& lend(const Bytes& input) noexcept;
  void rewind() noexcept {
    next_ = block_->data();
    room_ = kSize;
  }

  Bytes input_;  // holds the block; points at what was read last
  Bytes lent_;
  Bytes copy_;  // for AddressSanitizer
  Buffer* block_ = nullptr;
  char* next_ = nullptr;  // what is before it may be kept by somebody
  std::size_t room_ = 0;  // from there to the end
};

}  // namespace evio::internal
