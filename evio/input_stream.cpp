#include "evio/input_stream.hpp"

#include <cstring>
#include <utility>

#include "internal/base/sanitizer.hpp"
#include "internal/buffer/buffer.hpp"
#include "internal/buffer/bytes_access.hpp"

namespace evio {

using internal::Buffer;
using internal::BytesAccess;
using internal::RefPtr;
using internal::Storage;

namespace {

// Under AddressSanitizer each call gets storage of its own, so that using a view from an earlier call is a use after
// free. Not for large inputs: one that arrives byte by byte would be copied over and over.
constexpr bool has_own_storage(std::size_t size) {
  constexpr std::size_t kLargest = 16 * 1024;
  return internal::kAddressSanitizer && size <= kLargest;
}

Bytes view_into(Buffer& buffer, const char* from, std::size_t size) {
  buffer.retain();
  return BytesAccess::make(from, size, RefPtr<Storage>(&buffer));
}

}  // namespace

InputStream::InputStream(InputStream&& other) noexcept
    : kept_(std::move(other.kept_)),
      buffer_(std::exchange(other.buffer_, nullptr)),
      used_(std::exchange(other.used_, 0)) {}

InputStream& InputStream::operator=(InputStream&& other) noexcept {
  kept_.swap(other.kept_);
  std::swap(buffer_, other.buffer_);
  std::swap(used_, other.used_);
  return *this;
}

InputStream::~InputStream() {
  if (buffer_ != nullptr) buffer_->release();
}

std::string_view InputStream::begin(std::string_view packet) {
  if (kept_.empty()) return packet;
  kept_ = join(Bytes::literal(packet));
  return kept_.view();
}

void InputStream::end(std::string_view rest) {
  const bool inside = rest.data() >= kept_.data() && rest.data() + rest.size() == kept_.data() + kept_.size();
  keep(!kept_.empty() && inside ? kept_.substr(kept_.size() - rest.size()) : Bytes::literal(rest));
}

// Returns the unread input in one piece. While the buffer has room, new bytes are appended to it in place: Bytes may
// share it, but none of them extends past used_. A full buffer is replaced by one twice the size of the unread input,
// so a byte is copied a bounded number of times on average, no matter how the input is split.
Bytes InputStream::join(const Bytes& packet) {
  if (kept_.empty()) return packet;
  const std::size_t size = kept_.size() + packet.size();
  if (packet.empty()) {
    if (has_own_storage(size)) keep(kept_);
    return kept_;
  }
  const bool in_buffer = buffer_ != nullptr && BytesAccess::storage(kept_) == buffer_;
  if (!in_buffer || has_own_storage(size) || buffer_->capacity() - used_ < packet.size()) {
    RefPtr<Buffer> grown = Buffer::make(std::max(internal::kLittle, 2 * size));
    std::memcpy(grown->data(), kept_.data(), kept_.size());
    used_ = kept_.size();
    if (buffer_ != nullptr) buffer_->release();
    buffer_ = grown.detach();
  }
  std::memcpy(buffer_->data() + used_, packet.data(), packet.size());
  used_ += packet.size();
  return view_into(*buffer_, buffer_->data() + used_ - size, size);
}

// Copies unowned bytes, and those that would keep a large storage alive (share_policy.hpp). The work stays linear:
// each byte is copied once out of its packet. The stream's own storage starts at least half full and is copied only
// when less than a quarter of it is unread, so at least as many bytes have been consumed from it as are copied.
void InputStream::keep(const Bytes& rest) {
  if (rest.empty()) return forget();
  Bytes kept = rest;
  const bool unowned = BytesAccess::storage(rest) == nullptr || BytesAccess::is_unowned(rest);
  if (unowned || has_own_storage(rest.size())) {
    kept = Bytes::copy(rest.view());
  } else {
    BytesAccess::compact(kept);
  }
  if (BytesAccess::storage(kept) != buffer_) forget();
  kept_ = std::move(kept);
}

void InputStream::forget() noexcept {
  kept_ = {};
  used_ = 0;
  if (buffer_ != nullptr) std::exchange(buffer_, nullptr)->release();
}

}  // namespace evio
