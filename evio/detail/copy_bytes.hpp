#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace evio::internal {

/// Copies from one object to another. Calling memcpy(3) costs more than twice the instructions that copying a short
/// message takes.
inline void copy_bytes(char* to, std::string_view from) noexcept {
  const auto halves = [&]<class Half>(Half) {  // which overlap
    Half first;
    Half last;
    std::memcpy(&first, from.data(), sizeof first);
    std::memcpy(&last, from.data() + from.size() - sizeof last, sizeof last);
    std::memcpy(to, &first, sizeof first);
    std::memcpy(to + from.size() - sizeof last, &last, sizeof last);
  };
  const std::size_t size = from.size();
  if (size - 4 > 12) {  // fewer than 4, or more than 16
    if (size != 0) std::memcpy(to, from.data(), size);
  } else if (size < 8) {
    halves(std::uint32_t{});
  } else {
    halves(std::uint64_t{});
  }
}

}  // namespace evio::internal
