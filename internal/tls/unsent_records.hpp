#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "internal/tls/wire.hpp"

namespace evio::internal {

/// Records that a socket has not taken yet, and which bytes of the user's are in them. Thread-safety: its loop's
/// thread.
class UnsentRecords {
 public:
  /// Adds `bytes`, of which `records` say where they end within the whole that these are the rest of: `before` bytes of
  /// it have been sent. Throws std::bad_alloc.
  void add(std::string_view bytes, std::span<const RecordEnd> records, std::size_t before);
  std::string_view bytes() const noexcept { return std::string_view(bytes_).substr(sent_); }
  /// The socket has taken `n` bytes more. Returns how many bytes of the user's were in the records that this completes.
  std::size_t taken(std::size_t n) noexcept;

 private:
  std::string bytes_;
  std::size_t sent_ = 0;  // of bytes_
  std::vector<RecordEnd> records_;
  std::size_t completed_ = 0;  // of records_
};

}  // namespace evio::internal
