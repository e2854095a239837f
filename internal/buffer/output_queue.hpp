#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "evio/bytes.hpp"
#include "evio/output.hpp"
#include "internal/buffer/buffer.hpp"

namespace evio::internal {

/// How far a write got.
enum class Sent { kAll, kBlocked, kFailed };

/// The output of one connection that its socket did not take yet, oldest first. It exists only while there is some.
/// It keeps no more than kMostKept times as much memory as there is output (evio/detail/share_policy.hpp), and up to 16
/// KiB of room for texts that may follow. Thread-safety: its loop's thread.
class OutputQueue {
 public:
  /// Adds what is in `out` from byte `skip` on: large shared bytes are shared on, the rest is copied. All of these may
  /// throw std::bad_alloc; add() and add_text() then have added nothing.
  void take(const Output& out, std::size_t skip);
  void add(Bytes bytes);
  void add_text(std::string_view text);
  /// Writes as much as the socket takes, and about a megabyte at most: kBlocked then, too. kFailed leaves errno.
  Sent write(int fd);

 private:
  void add_block(std::string_view text);
  void close_tail() noexcept;
  void drop(std::size_t written) noexcept;
  void forget_sent() noexcept;

  std::vector<Bytes> parts_;
  std::size_t head_ = 0;  // parts before it are sent
  RefPtr<Buffer> tail_;   // the storage of the last part, when more text fits behind it
  std::size_t tail_used_ = 0;
};

}  // namespace evio::internal
