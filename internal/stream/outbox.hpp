#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "evio/output.hpp"
#include "internal/buffer/output_access.hpp"
#include "internal/loop/note.hpp"

namespace evio::internal {

/// Collects what the callbacks of one loop send by Conn::send(), until it is flushed. One buffer holds the texts of all
/// connections, so that a text costs no allocation, and one write takes everything that a connection was sent since the
/// last flush. The outbox has a reference to each of those connections.
/// Thread-safety: its loop's thread.
class Outbox {
 public:
  /// The texts of one connection, oldest first. Valid until the outbox was flushed.
  struct Chain {
    std::uint32_t first = 0;  // 0: there is none
  };

  bool empty() const noexcept { return entries_.empty(); }
  /// Adds a text, which may be empty, for a connection that has this chain or gets it. Throws std::bad_alloc; then
  /// nothing has changed.
  void add(NoteTarget& to, Chain& chain, std::string_view text) {
    if (chain.first != 0 && entry(chain.first).last == entries_.size()) [[likely]] {
      text_.append(text);
    } else {
      start(to, chain, text);
    }
  }
  bool is_one_text(Chain chain) const noexcept { return chain.first != 0 && entry(chain.first).next == 0; }
  std::string_view first_text(Chain chain) const noexcept { return text_of(chain.first); }
  template <class Piece>
  void for_each(Chain chain, Piece piece) const {
    for (std::uint32_t at = chain.first; at != 0; at = entry(at).next) piece(text_of(at));
  }

  /// Calls flush(target, chain) for each text that is there now, oldest first. Returns true, and is empty, if those
  /// calls have added no others.
  template <class Flush>
  bool flush(Flush flush) {
    for (const std::size_t end = entries_.size(); flushed_ != end;) {
      NoteTarget& to = *entries_[flushed_].to;
      flush(to, Chain{static_cast<std::uint32_t>(++flushed_)});
    }
    if (flushed_ != entries_.size()) return false;
    clear();
    return true;
  }
  void clear() noexcept {
    entries_.clear();
    flushed_ = 0;
    text_.clear();
  }

 private:
  // Numbers of entries count from 1.
  struct Entry {
    Entry(NoteTarget& target, std::size_t begin, std::uint32_t number) noexcept : to(&target), at(begin), last(number) {
      target.retain();
    }

    RefPtr<NoteTarget> to;
    std::size_t at;  // where the text begins, which goes up to the next one's
    std::uint32_t next = 0;
    std::uint32_t last;  // in the first of a chain
  };

  void start(NoteTarget& to, Chain& chain, std::string_view text) {
    const std::size_t at = OutputAccess::copied(text_).size();
    const auto number = static_cast<std::uint32_t>(entries_.size() + 1);
    entries_.emplace_back(to, at, number);
    try {
      text_.append(text);
    } catch (...) {
      entries_.pop_back();
      throw;
    }
    if (chain.first == 0) [[likely]] {
      chain.first = number;
    } else {
      Entry& first = entries_[chain.first - 1];
      entries_[first.last - 1].next = number;
      first.last = number;
    }
  }
  const Entry& entry(std::uint32_t number) const noexcept { return entries_[number - 1]; }
  std::string_view text_of(std::uint32_t number) const noexcept {
    const std::string_view all = OutputAccess::copied(text_);
    const Entry* const at = &entry(number);
    const std::size_t end = at + 1 == entries_.data() + entries_.size() ? all.size() : at[1].at;
    return {all.data() + at->at, end - at->at};
  }

  std::vector<Entry> entries_;
  std::size_t flushed_ = 0;
  Output text_;
};

}  // namespace evio::internal
