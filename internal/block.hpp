#pragma once

#include <cstddef>

#include "evio/counted.hpp"
#include "internal/ref.hpp"

namespace evio::internal {

/// Bytes of storage behind a count, in one allocation: what loops read into and what unsent output waits in.
/// Thread-safety: the count is; writing into it is for the one that knows which part no one else has seen.
class Block final : public Counted {
 public:
  /// Throws std::bad_alloc.
  static Ref<Block> make(std::size_t capacity);

  char* data() noexcept { return reinterpret_cast<char*>(this + 1); }
  std::size_t capacity() const noexcept { return capacity_; }

 private:
  explicit Block(std::size_t capacity) noexcept : capacity_(capacity) {}
  ~Block() override = default;
  void dispose() noexcept override;

  std::size_t capacity_;
};

}  // namespace evio::internal
