#include "evio/input_stream.hpp"

#include <cstring>

#include "internal/block.hpp"
#include "internal/bytes_access.hpp"

namespace evio {

using internal::Block;
using internal::BytesAccess;
using internal::Counted;
using internal::Ref;

namespace {

// From this size on a rest is kept in the storage it came in; a smaller one would keep a whole read buffer alive.
constexpr std::size_t kShareFrom = 8 * 1024;

Bytes view_of(Block& block, const char* from, std::size_t size) {
  block.retain();
  return BytesAccess::make(from, size, Ref<Counted>(&block));
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
  if (!kept_.empty() && inside) {
    kept_.remove_prefix(kept_.size() - rest.size());
    if (kept_.empty()) forget();
  } else {
    keep(Bytes::literal(rest));
  }
}

// What is unread, in one piece. Bytes are added behind what is kept while the buffer has room: they may be shared, but
// no one has seen the part behind used_. A full buffer is followed by one of twice what is unread, so a byte is
// copied a bounded number of times on the average, however the input is cut.
Bytes InputStream::join(const Bytes& packet) {
  if (kept_.empty()) return packet;
  if (packet.empty()) return kept_;
  const std::size_t size = kept_.size() + packet.size();
  const bool in_buffer = buffer_ != nullptr && BytesAccess::storage(kept_) == buffer_;
  if (!in_buffer || buffer_->capacity() - used_ < packet.size()) {
    constexpr std::size_t kLeast = 256;
    Ref<Block> grown = Block::make(std::max(kLeast, 2 * size));
    std::memcpy(grown->data(), kept_.data(), kept_.size());
    used_ = kept_.size();
    if (buffer_ != nullptr) buffer_->release();
    buffer_ = grown.detach();
  }
  std::memcpy(buffer_->data() + used_, packet.data(), packet.size());
  used_ += packet.size();
  return view_of(*buffer_, buffer_->data() + used_ - size, size);
}

void InputStream::keep(const Bytes& rest) {
  Counted* const storage = BytesAccess::storage(rest);
  if (rest.empty()) {
    forget();
  } else if (storage != nullptr && storage == buffer_) {
    kept_ = rest;
  } else if (storage != nullptr && rest.size() >= kShareFrom && !BytesAccess::is_borrowed(rest)) {
    forget();
    kept_ = rest;
  } else {
    Bytes copy = Bytes::copy(rest.view());
    forget();
    kept_ = std::move(copy);
  }
}

void InputStream::forget() noexcept {
  kept_ = {};
  used_ = 0;
  if (buffer_ != nullptr) std::exchange(buffer_, nullptr)->release();
}

}  // namespace evio
