#include "internal/send_queue.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "internal/bytes_access.hpp"
#include "internal/output_access.hpp"
#include "internal/syscalls.hpp"

namespace evio::internal {
namespace {

// Less than this of a shared storage is copied: a remainder of a few bytes should not keep a whole block alive.
constexpr std::size_t kShareFrom = 8 * 1024;

}  // namespace

void SendQueue::take(const Output& out, std::size_t skip) {
  OutputAccess::for_each(out, [&](std::string_view piece, const Bytes* shared) {
    const std::size_t cut = std::min(skip, piece.size());
    skip -= cut;
    if (cut == piece.size()) return;
    if (shared != nullptr && !BytesAccess::is_borrowed(*shared)) {
      add(shared->substr(cut));
    } else {
      add_text(piece.substr(cut));
    }
  });
}

// All of it or, when there is no memory, nothing: what needs memory comes first.
void SendQueue::add_text(std::string_view text) {
  if (text.empty()) return;
  const std::size_t fits = tail_ ? std::min(text.size(), tail_->capacity() - tail_used_) : 0;
  if (fits < text.size()) add_block(text.substr(fits));
  if (fits == 0) return;
  Bytes& part = parts_[parts_.size() - (fits < text.size() ? 2 : 1)];
  std::memcpy(const_cast<char*>(part.end()), text.data(), fits);
  BytesAccess::point(part, part.data(), part.size() + fits);
  if (fits == text.size()) tail_used_ += fits;
}

// A part of its own for the text, with room behind it.
void SendQueue::add_block(std::string_view text) {
  constexpr std::size_t kBlock = 16 * 1024 - sizeof(Block);
  Ref<Block> block = Block::make(parts_.empty() ? text.size() : std::max(text.size(), kBlock));
  std::memcpy(block->data(), text.data(), text.size());
  parts_.push_back(BytesAccess::make(block->data(), text.size(), Ref<Counted>(Ref<Block>(block).detach())));
  tail_ = std::move(block);
  tail_used_ = text.size();
}

void SendQueue::add(Bytes bytes) {
  if (bytes.size() < kShareFrom) return add_text(bytes.view());
  parts_.push_back(std::move(bytes));
  tail_ = {};
}

Sent SendQueue::write(int fd) {
  constexpr std::size_t kParts = 64;
  while (head_ != parts_.size()) {
    std::array<iovec, kParts> vector;
    std::size_t count = 0;
    std::size_t size = 0;
    for (std::size_t i = head_; i != parts_.size() && count != kParts; ++i) {
      vector[count++] = {const_cast<char*>(parts_[i].data()), parts_[i].size()};
      size += parts_[i].size();
    }
    const ssize_t n =
        count == 1 ? sys::write(fd, vector[0].iov_base, size) : sys::writev(fd, vector.data(), static_cast<int>(count));
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? Sent::kBlocked : Sent::kFailed;
    drop(static_cast<std::size_t>(n));
    if (static_cast<std::size_t>(n) < size) return Sent::kBlocked;
  }
  return Sent::kAll;
}

void SendQueue::drop(std::size_t written) {
  while (head_ != parts_.size() && written >= parts_[head_].size()) {
    written -= parts_[head_].size();
    parts_[head_++] = {};
  }
  if (head_ == parts_.size()) {
    parts_.clear();
    head_ = 0;
    tail_ = {};
  } else {
    parts_[head_].remove_prefix(written);
    if (head_ > parts_.size() / 2) {  // half of the entries are spent: amortised over the writes that spent them
      parts_.erase(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
  }
}

}  // namespace evio::internal
