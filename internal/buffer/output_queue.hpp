#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "evio/bytes.hpp"
#include "evio/output.hpp"
#include "internal/buffer/buffer.hpp"

namespace evio::internal {

/// The output of one connection that its socket has not taken yet, oldest first. It exists only while there is some.
/// It keeps no more than kMostKept times as much memory as there is output (evio/detail/share_policy.hpp), and up to
/// 16 KiB of room for what may follow.
/// Thread-safety: its loop's thread.
class OutputQueue {
 public:
  /// A turn writes so many bytes of one connection: a peer that reads as fast as this writes must not keep the loop.
  static constexpr std::size_t kWriteBudget = 1024 * 1024;

  /// What one system call writes.
  struct Batch {
    std::array<iovec, 64> parts;
    std::size_t count = 0;
    std::size_t bytes = 0;

    std::span<iovec> span() noexcept { return std::span(parts).first(count); }
  };

  /// Adds what is in `out` from byte `skip` on: large shared bytes are shared, the rest is copied. All of these may
  /// throw std::bad_alloc; add() and add_copy() then have added nothing, append() perhaps a part, as size() says.
  void append(const Output& out, std::size_t skip);
  void add(Bytes bytes);
  void add_copy(std::string_view bytes);

  bool empty() const noexcept { return head_ == parts_.size(); }
  std::size_t size() const noexcept { return size_; }
  /// The oldest bytes, as many as fit into a batch. They stay here.
  void gather(Batch& batch) const noexcept;
  /// The socket has taken so many bytes.
  void remove(std::size_t written) noexcept;

 private:
  void add_buffer(std::string_view bytes);
  void close_tail() noexcept;
  void drop_written_parts() noexcept;

  std::vector<Bytes> parts_;
  std::size_t head_ = 0;  // parts before it are written
  std::size_t size_ = 0;  // of the others together
  RefPtr<Buffer> tail_;   // the storage of the last part, if more fits after it
  std::size_t tail_used_ = 0;
};

}  // namespace evio::internal
