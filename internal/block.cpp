#include "internal/block.hpp"

#include <new>

#include "internal/poison.hpp"

namespace evio::internal {

Ref<Block> Block::make(std::size_t capacity) {
  return Ref<Block>(new (::operator new(sizeof(Block) + capacity)) Block(capacity));
}

void Block::dispose() noexcept {
  unpoison(data(), capacity_);
  this->~Block();
  ::operator delete(this);
}

}  // namespace evio::internal
