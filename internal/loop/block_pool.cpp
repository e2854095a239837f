#include "internal/loop/block_pool.hpp"

#include <new>

namespace evio::internal {

// This thread has none.
void* BlockPool::get_returned() noexcept {
  using Kept = ThreadBlocks<BlockPool>;
  // relaxed, then acquire: a hint, then what the loop did with the blocks.
  if (Kept::can_put_all() && returned_.load(std::memory_order_relaxed) != nullptr)
    Kept::put_all(returned_.exchange(nullptr, std::memory_order_acquire));
  void* const block = Kept::take();
  return block != nullptr ? block : ::operator new(kBlock, std::nothrow);
}

void BlockPool::give_back(FreeBlock* first, FreeBlock* last, int count) noexcept {
  FreeBlock* before = returned_.load(std::memory_order_relaxed);
  if (before == nullptr) waiting_ = 0;  // threads take all there is at once
  if (waiting_ >= kMost) return FreeBlock::free_all(first);
  do {
    last->next = before;
    // release: pairs with get().
  } while (!returned_.compare_exchange_weak(before, first, std::memory_order_release, std::memory_order_relaxed));
  waiting_ += count;
}

}  // namespace evio::internal
