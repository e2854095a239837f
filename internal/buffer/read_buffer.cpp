#include "internal/buffer/read_buffer.hpp"

#include <algorithm>
#include <utility>

namespace evio::internal {

void ReadBuffer::renew() {
  if (block_ == nullptr || !block_->unshared()) {  // it may have been let go of meanwhile
    RefPtr<Buffer> block = Buffer::make(kSize);
    block_ = block.get();
    input_ = BytesAccess::make(block_->data(), 0, RefPtr<Storage>(block.detach()));
  }
  rewind();
}

void ReadBuffer::pass_over() noexcept {
  constexpr std::size_t kAlign = 16;
  const std::size_t used = std::min(room_, (input_.size() + kAlign - 1) / kAlign * kAlign);
  next_ += used;
  room_ -= used;
}

const Bytes& ReadBuffer::lend(const Bytes& input) noexcept {
  lent_ = BytesAccess::borrow(input.view());
  return lent_;
}

}  // namespace evio::internal
