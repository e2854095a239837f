#include "internal/input_buffer.hpp"

#include <utility>

#include "internal/bytes_access.hpp"
#include "internal/poison.hpp"

namespace evio::internal {

InputBuffer::InputBuffer() { renew(); }

std::span<char> InputBuffer::room() {
  if (start_ > kSize - kSize / 4) [[unlikely]]
    renew();
  char* const from = block_->data() + start_;
  const std::size_t size = kSize - start_;
  unpoison(from, size);
  return {from, size};
}

const Bytes& InputBuffer::filled(std::size_t n) noexcept {
  char* const from = block_->data() + start_;
  poison(from + n, kSize - start_ - n);
  BytesAccess::point(input_, from, n);
  return input_;
}

Bytes InputBuffer::filled_view(std::size_t n) noexcept { return BytesAccess::borrow(filled(n).view()); }

void InputBuffer::renew() {
  if (block_ != nullptr && block_->unshared()) {  // let go of meanwhile
    start_ = 0;
    return;
  }
  Ref<Block> block = Block::make(kSize);
  block_ = block.get();
  start_ = 0;
  input_ = BytesAccess::make(block_->data(), 0, Ref<Counted>(block.detach()));
}

void InputBuffer::pass_over() noexcept {
  constexpr std::size_t kAlign = 16;  // AddressSanitizer's granules are 8 bytes: neighbours must not share one
  start_ += (input_.size() + kAlign - 1) / kAlign * kAlign;
}

void InputBuffer::poison_all() noexcept { poison(block_->data(), kSize); }

}  // namespace evio::internal
