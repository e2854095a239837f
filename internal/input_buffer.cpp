#include "internal/input_buffer.hpp"

#include <algorithm>
#include <utility>

namespace evio::internal {

void InputBuffer::renew() {
  if (block_ == nullptr || !block_->unshared()) {  // it may have been let go of meanwhile
    Ref<Block> block = Block::make(kSize);
    block_ = block.get();
    input_ = BytesAccess::make(block_->data(), 0, Ref<Storage>(block.detach()));
  }
  rewind();
}

void InputBuffer::pass_over() noexcept {
  constexpr std::size_t kAlign = 16;
  const std::size_t used = std::min(room_, (input_.size() + kAlign - 1) / kAlign * kAlign);
  next_ += used;
  room_ -= used;
}

const Bytes& InputBuffer::lend(const Bytes& input) noexcept {
  lent_ = BytesAccess::borrow(input.view());
  return lent_;
}

}  // namespace evio::internal
