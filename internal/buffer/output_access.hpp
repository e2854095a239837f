#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include "evio/output.hpp"

namespace evio::internal {

/// What the loop may do with an Output that its user may not.
class OutputAccess {
 public:
  using Shared = Output::Shared;

  /// True when all of it was copied, into one piece.
  static bool is_one_copy(const Output& out) noexcept { return out.shared_size_ == 0; }
  static std::string_view copied(const Output& out) noexcept { return {out.copied_, out.copied_size_}; }
  /// Calls piece(std::string_view, const Bytes*) for every run of bytes in order; the Bytes of shared ones.
  template <class Piece>
  static void for_each(const Output& out, Piece piece) {
    std::size_t copied_done = 0;
    for (const Shared& shared : out.shared_) {
      if (shared.copied_before > copied_done)
        piece(copied(out).substr(copied_done, shared.copied_before - copied_done), nullptr);
      copied_done = shared.copied_before;
      piece(shared.bytes.view(), &shared.bytes);
    }
    if (out.copied_size_ > copied_done) piece(copied(out).substr(copied_done), nullptr);
  }
  /// Adds bytes without copying them, whatever their size.
  static void share(Output& out, Bytes bytes) { out.share(std::move(bytes)); }
  /// Adds what is in `more`, copied or shared as it is there.
  static void append(Output& out, const Output& more) {
    for_each(more, [&](std::string_view piece, const Bytes* shared) {
      if (shared != nullptr) {
        out.share(*shared);
      } else {
        out.append(piece);
      }
    });
  }
  static void swap(Output& a, Output& b) noexcept {
    std::swap(a.copied_, b.copied_);
    std::swap(a.copied_size_, b.copied_size_);
    std::swap(a.capacity_, b.capacity_);
    std::swap(a.shared_size_, b.shared_size_);
    a.shared_.swap(b.shared_);
  }
  /// As many pieces, in order, as fit; returns how many.
  static int gather(const Output& out, std::span<iovec> parts) noexcept;
  /// Empties an Output that is_one_copy(). True if it keeps more memory than it may, until shrink().
  [[nodiscard]] static bool reset_copied(Output& out) noexcept {
    out.copied_size_ = 0;
    return out.capacity_ > Output::kKeptBytes;
  }
  static void shrink(Output& out) noexcept { out.shrink(); }
};

}  // namespace evio::internal
