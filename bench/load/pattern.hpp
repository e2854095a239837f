#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace load {

/// The bytes of every stream: each is the same random table read from another place, so any byte lost, doubled, moved
/// or taken from another connection shows. Thread-safety: not changed after construction.
class Pattern {
 public:
  Pattern() : table_(kPeriod * kTurns) {
    std::uint64_t state = 0x9e3779b97f4a7c15;
    for (std::size_t i = 0; i < kPeriod; ++i) {
      state ^= state << 13U;
      state ^= state >> 7U;
      state ^= state << 17U;
      table_[i] = static_cast<char>(state >> 32U);
    }
    for (std::size_t i = kPeriod; i < table_.size(); ++i) table_[i] = table_[i - kPeriod];
  }

  /// At most `size` bytes of stream number `stream`, from `offset` on; never less than the smaller of size and kAtOnce.
  std::string_view at(std::uint64_t stream, std::uint64_t offset, std::size_t size) const {
    const auto start = static_cast<std::size_t>((stream * kStride + offset) % kPeriod);
    return {table_.data() + start, std::min(size, table_.size() - start)};
  }

  bool matches(std::uint64_t stream, std::uint64_t offset, std::string_view bytes) const {
    const std::string_view expected = at(stream, offset, bytes.size());
    return expected == bytes;
  }

  static constexpr std::size_t kAtOnce = 192 * 1024;

 private:
  static constexpr std::size_t kPeriod = 65521;  // prime: no message size divides it
  static constexpr std::size_t kTurns = 5;
  static constexpr std::uint64_t kStride = 7919;

  std::vector<char> table_;
};

}  // namespace load
