#pragma once

#include <cstddef>
#include <span>

#include "evio/bytes.hpp"
#include "internal/block.hpp"

namespace evio::internal {

/// Where a loop reads into. A handler that keeps a copy of its input keeps the bytes where they are: the next read goes
/// behind them, or into a fresh block, so that nothing is ever copied and small values that are kept share a block.
/// Thread-safety: its loop's thread; the Bytes it gives out, any.
class InputBuffer {
 public:
  /// As much as one read(2) takes: large enough that a bulk transfer is bound by copying, small enough for the L2
  /// cache.
  static constexpr std::size_t kSize = 64 * 1024;

  InputBuffer();

  /// Where to read next; never less than a quarter of kSize. Lives until recycle(). Throws std::bad_alloc.
  std::span<char> room();
  /// The first n bytes of room() as what a handler gets: with a share in the storage, or as a plain view.
  const Bytes& filled(std::size_t n) noexcept;
  Bytes filled_view(std::size_t n) noexcept;
  /// The handler is done: makes room again. What no one kept is poisoned under AddressSanitizer.
  void recycle() noexcept {
    if (block_->unshared()) [[likely]] {
      start_ = 0;
      poison_all();
    } else {
      pass_over();
    }
  }

 private:
  void renew();
  void pass_over() noexcept;
  void poison_all() noexcept;

  Bytes input_;  // holds the block; points at what was read last
  Block* block_ = nullptr;
  std::size_t start_ = 0;  // what is before it may be kept by somebody
};

}  // namespace evio::internal
