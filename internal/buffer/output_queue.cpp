#include "internal/buffer/output_queue.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <new>
#include <utility>

#include "evio/detail/share_policy.hpp"
#include "internal/buffer/bytes_access.hpp"
#include "internal/buffer/output_access.hpp"

namespace evio::internal {
namespace {

// The room for more parts that is not given back.
constexpr std::size_t kLeastParts = 64;

}  // namespace

void OutputQueue::append(const Output& out, std::size_t skip) {
  OutputAccess::for_each(out, [&](std::string_view piece, const Bytes* shared) {
    const std::size_t cut = std::min(skip, piece.size());
    skip -= cut;
    if (cut == piece.size()) return;
    if (shared != nullptr && !BytesAccess::is_unowned(*shared)) {
      add(shared->substr(cut));
    } else {
      add_copy(piece.substr(cut));
    }
  });
}

// All of it or, when there is no memory, nothing: what needs memory comes first.
void OutputQueue::add_copy(std::string_view bytes) {
  if (bytes.empty()) return;
  const std::size_t fits = tail_ ? std::min(bytes.size(), tail_->capacity() - tail_used_) : 0;
  if (fits < bytes.size()) add_buffer(bytes.substr(fits));
  size_ += bytes.size();
  if (fits == 0) return;
  Bytes& part = parts_[parts_.size() - (fits < bytes.size() ? 2 : 1)];
  std::memcpy(const_cast<char*>(part.end()), bytes.data(), fits);
  BytesAccess::set_range(part, part.data(), part.size() + fits);
  if (fits == bytes.size()) tail_used_ += fits;
}

// A new part for the bytes, with room after them if a copy came before: twice the room of the last one, so that many
// small copies share a buffer and a few do not take a large one.
void OutputQueue::add_buffer(std::string_view bytes) {
  constexpr std::size_t kLargest = 16 * 1024 - sizeof(Buffer);
  const std::size_t room = tail_ ? std::min(kLargest, std::max(kLittle, 2 * tail_->capacity())) : 0;
  RefPtr<Buffer> buffer = Buffer::make(std::max(bytes.size(), room));
  std::memcpy(buffer->data(), bytes.data(), bytes.size());
  parts_.push_back(BytesAccess::make(buffer->data(), bytes.size(), RefPtr<Storage>(RefPtr<Buffer>(buffer).detach())));
  tail_ = std::move(buffer);
  tail_used_ = bytes.size();
}

void OutputQueue::add(Bytes bytes) {
  if (bytes.size() < kShareInQueue) return add_copy(bytes.view());
  BytesAccess::compact(bytes);
  const std::size_t size = bytes.size();
  parts_.push_back(std::move(bytes));
  size_ += size;
  close_tail();
}

// Nothing more is added to the part before the last one.
void OutputQueue::close_tail() noexcept {
  if (!tail_) return;
  tail_ = {};
  BytesAccess::compact(parts_[parts_.size() - 2]);
}

void OutputQueue::gather(Batch& batch) const noexcept {
  batch.count = batch.bytes = 0;
  for (std::size_t i = head_; i != parts_.size() && batch.count != batch.parts.size(); ++i) {
    batch.parts[batch.count++] = {const_cast<char*>(parts_[i].data()), parts_[i].size()};
    batch.bytes += parts_[i].size();
  }
}

void OutputQueue::remove(std::size_t written) noexcept {
  size_ -= written;
  while (head_ != parts_.size() && written >= parts_[head_].size()) {
    written -= parts_[head_].size();
    parts_[head_++] = {};
  }
  if (head_ == parts_.size()) {
    std::vector<Bytes>().swap(parts_);
    head_ = 0;
    tail_ = {};
    return;
  }
  Bytes& head = parts_[head_];
  head.remove_prefix(written);
  BytesAccess::compact(head);
  if (tail_ && BytesAccess::storage(parts_.back()) != tail_.get()) tail_ = {};  // the head was the tail, too
  if (head_ > parts_.size() / 2) drop_written_parts();
}

// Half of the entries are spent: moving the others is amortised over the writes that spent them.
void OutputQueue::drop_written_parts() noexcept {
  const auto first = parts_.begin() + static_cast<std::ptrdiff_t>(head_);
  const std::size_t left = parts_.size() - head_;
  if (parts_.capacity() > std::max(kLeastParts, kMostKept * left)) {
    try {
      std::vector<Bytes>(std::make_move_iterator(first), std::make_move_iterator(parts_.end())).swap(parts_);
      head_ = 0;
      return;
    } catch (const std::bad_alloc&) {  // then it stays as large as it is
    }
  }
  parts_.erase(parts_.begin(), first);
  head_ = 0;
}

}  // namespace evio::internal
