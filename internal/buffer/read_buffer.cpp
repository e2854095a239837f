#include "internal/buffer/read_buffer.hpp"

#include <algorithm>

namespace evio::internal {

void ReadBuffer::renew() {
  RefPtr<Buffer> buffer = Buffer::make(kSize);
  buffer_ = buffer.get();
  input_ = BytesAccess::make(buffer_->data(), 0, RefPtr<Storage>(buffer.detach()));
}

// Something in the buffer is kept: what was read last is the last of it.
std::span<char> ReadBuffer::room_after_kept() {
  constexpr std::size_t kAlign = 16;
  const auto used = static_cast<std::size_t>(input_.end() - buffer_->data());
  const std::size_t next = std::min(kSize, (used + kAlign - 1) / kAlign * kAlign);
  if (kSize - next >= kSize / 4) return {buffer_->data() + next, kSize - next};
  renew();
  return {buffer_->data(), kSize};
}

}  // namespace evio::internal
