#include "internal/block.hpp"

#include <new>

#include "internal/poison.hpp"

namespace evio::internal {

namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kLarge = 32 * 1024;

}  // namespace

Ref<Block> Block::make(std::size_t capacity) {
  const bool large = capacity >= kLarge;
  auto* const memory = static_cast<char*>(::operator new(sizeof(Block) + capacity + (large ? kLine : 0)));
  const std::size_t shift = large ? -(reinterpret_cast<std::uintptr_t>(memory) + sizeof(Block)) % kLine : 0;
  Ref<Block> block(new (memory + shift) Block(capacity, static_cast<std::uint8_t>(shift)));
  if (large) poison(block->data() + capacity, kLine - shift);
  return block;
}

void Block::dispose() noexcept {
  unpoison(data(), capacity_ + (capacity_ >= kLarge ? kLine - shift_ : 0));
  void* const memory = reinterpret_cast<char*>(this) - shift_;
  this->~Block();
  ::operator delete(memory);
}

}  // namespace evio::internal
