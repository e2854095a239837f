#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

namespace evio::internal {

/// Goes through the bytes of several parts, from the first to the last. Thread-safety: a value.
class IovecCursor {
 public:
  explicit IovecCursor(std::span<const iovec> parts) noexcept : parts_(parts) { skip(0); }

  bool at_end() const noexcept { return parts_.empty(); }
  /// Goes on by `n` bytes, or to the end.
  void skip(std::size_t n) noexcept {
    offset_ += n;
    while (!parts_.empty() && offset_ >= parts_[0].iov_len) {
      offset_ -= parts_[0].iov_len;
      parts_ = parts_.subspan(1);
    }
  }
  /// The next `size` bytes, or fewer if those are the last. They lie where they are, or in `scratch` if they are bytes
  /// of more than one part.
  std::string_view peek(std::size_t size, char* scratch) const noexcept {
    const std::string_view first = part(0).substr(offset_);
    if (first.size() >= size || parts_.size() == 1) return first.substr(0, size);
    std::memcpy(scratch, first.data(), first.size());
    std::size_t filled = first.size();
    for (std::size_t i = 1; i < parts_.size() && filled < size; ++i) {
      const std::size_t n = std::min(part(i).size(), size - filled);
      if (n != 0) std::memcpy(scratch + filled, part(i).data(), n);
      filled += n;
    }
    return {scratch, filled};
  }

 private:
  std::string_view part(std::size_t i) const noexcept {
    return {static_cast<const char*>(parts_[i].iov_base), parts_[i].iov_len};
  }

  std::span<const iovec> parts_;
  std::size_t offset_ = 0;  // within the first
};

}  // namespace evio::internal
