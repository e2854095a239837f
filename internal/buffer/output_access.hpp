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

  /// True when all of it is copied text, in one piece.
  static bool is_text(const Output& out) noexcept { return out.shared_size_ == 0; }
  static std::string_view text(const Output& out) noexcept { return {out.text_, out.text_size_}; }
  /// Calls piece(std::string_view, const Bytes*) for every run of bytes in order; the Bytes of shared ones.
  template <class Piece>
  static void for_each(const Output& out, Piece piece) {
    std::size_t text_done = 0;
    for (const Shared& shared : out.shared_) {
      if (shared.text_before > text_done) piece(text(out).substr(text_done, shared.text_before - text_done), nullptr);
      text_done = shared.text_before;
      piece(shared.bytes.view(), &shared.bytes);
    }
    if (out.text_size_ > text_done) piece(text(out).substr(text_done), nullptr);
  }
  /// Adds bytes without copying them, whatever their size.
  static void share(Output& out, Bytes bytes) { out.share(std::move(bytes)); }
  static void swap(Output& a, Output& b) noexcept {
    std::swap(a.text_, b.text_);
    std::swap(a.text_size_, b.text_size_);
    std::swap(a.capacity_, b.capacity_);
    std::swap(a.shared_size_, b.shared_size_);
    a.shared_.swap(b.shared_);
  }
  /// As many pieces, in order, as fit; returns how many.
  static int gather(const Output& out, std::span<iovec> parts) noexcept;
  /// reset() for what is_text().
  static void reset_text(Output& out) noexcept {
    out.text_size_ = 0;
    if (out.capacity_ > Output::kKeptText) [[unlikely]]
      out.give_back();
  }
  /// Empties it.
  static void reset(Output& out) noexcept { out.clear(); }
};

}  // namespace evio::internal
