#pragma once

#include <cstddef>
#include <cstdint>

#include "evio/detail/ref_counted.hpp"

namespace evio::internal {

/// Counted storage, in one allocation: what loops read into and what unsent output waits in. Large ones
/// begin on a cache line: the kernel's copies to and from 8 or 24 bytes after a page's beginning, where an allocator
/// could have them begin otherwise, took 1.4 to 1.9 times as long (AMD Zen 4). The largest are mapped, so that they go
/// back to the system when they are freed.
/// Thread-safety: the count is; only the owner that knows which part nobody else has seen may write.
class Buffer final : public Storage {
 public:
  /// Throws std::bad_alloc.
  static RefPtr<Buffer> make(std::size_t capacity);

  char* data() noexcept { return reinterpret_cast<char*>(this + 1); }
  std::size_t capacity() const noexcept override { return capacity_; }

 private:
  Buffer(std::size_t capacity, std::uint8_t shift) noexcept : shift_(shift), capacity_(capacity) {}
  ~Buffer() override = default;
  void dispose() noexcept override;
  static std::size_t allocated(std::size_t capacity) noexcept;

  std::uint8_t shift_;  // from the beginning of the allocation to this
  std::size_t capacity_;
};

}  // namespace evio::internal
