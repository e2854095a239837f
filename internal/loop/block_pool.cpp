#include "internal/loop/block_pool.hpp"

#include <new>
#include <utility>

namespace evio::internal {

/// Plain values, so that they may be used while other objects of an ending thread are destroyed.
struct BlockPool::Store {
  static inline thread_local Block* first = nullptr;
  static inline thread_local bool ending = false;

  struct Owner {
    ~Owner() {
      ending = true;
      free_all(std::exchange(first, nullptr));
    }
    void touch() noexcept {}
  };
  static inline thread_local Owner owner;
};

void BlockPool::free_all(Block* first) noexcept {
  while (first != nullptr) ::operator delete(std::exchange(first, first->next));
}

void* BlockPool::get() noexcept {
  // relaxed, then acquire: a hint, then what the loop did with the blocks.
  if (Store::first == nullptr && !Store::ending && returned_.load(std::memory_order_relaxed) != nullptr) {
    Store::owner.touch();  // makes it, and has it destroyed with the thread
    Store::first = returned_.exchange(nullptr, std::memory_order_acquire);
  }
  if (Store::first == nullptr) return ::operator new(kBlock, std::nothrow);
  return std::exchange(Store::first, Store::first->next);
}

void BlockPool::give_back(Block* first, Block* last, int count) noexcept {
  if (count == 0) return;
  Block* before = returned_.load(std::memory_order_relaxed);
  if (before == nullptr) waiting_ = 0;  // threads take all there is at once
  if (waiting_ >= kMost) return free_all(first);
  do {
    last->next = before;
    // release: pairs with get().
  } while (!returned_.compare_exchange_weak(before, first, std::memory_order_release, std::memory_order_relaxed));
  waiting_ += count;
}

}  // namespace evio::internal
