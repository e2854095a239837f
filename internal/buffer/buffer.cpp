#include "internal/buffer/buffer.hpp"

#include <new>

#include "internal/base/sanitizer.hpp"

namespace evio::internal {

namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kLarge = 32 * 1024;

}  // namespace

RefPtr<Buffer> Buffer::make(std::size_t capacity) {
  const bool large = capacity >= kLarge;
  auto* const memory = static_cast<char*>(::operator new(sizeof(Buffer) + capacity + (large ? kLine : 0)));
  const std::size_t shift = large ? -(reinterpret_cast<std::uintptr_t>(memory) + sizeof(Buffer)) % kLine : 0;
  RefPtr<Buffer> block(new (memory + shift) Buffer(capacity, static_cast<std::uint8_t>(shift)));
  if (large) poison(block->data() + capacity, kLine - shift);
  return block;
}

void Buffer::dispose() noexcept {
  unpoison(data(), capacity_ + (capacity_ >= kLarge ? kLine - shift_ : 0));
  void* const memory = reinterpret_cast<char*>(this) - shift_;
  this->~Buffer();
  ::operator delete(memory);
}

}  // namespace evio::internal
