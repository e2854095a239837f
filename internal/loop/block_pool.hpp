#pragma once

#include <atomic>
#include <cstddef>
#include <new>

#include "internal/base/thread_blocks.hpp"

namespace evio::internal {

/// Memory for what other threads ask of one loop: any thread takes blocks, the loop gives them back, so that a steady
/// flow allocates nothing. A thread whose own store is empty takes all that the loop has given back. At most 2 * kMost
/// blocks wait in the pool, and as many in the store of a thread that has sent something.
/// Thread-safety: get() any thread; the rest the loop's.
class BlockPool {
 public:
  static constexpr std::size_t kBlock = 320;  // bytes
  static constexpr int kMost = 1024;          // blocks: a broadcast to so many connections allocates nothing

  BlockPool() = default;
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool() { FreeBlock::free_all(returned_.load(std::memory_order_acquire)); }

  /// kBlock bytes; nullptr when there is no memory.
  void* get() noexcept {
    void* const block = ThreadBlocks<BlockPool>::take();
    return block != nullptr ? block : get_returned();
  }

  void give_back(void* block) noexcept {
    FreeBlock* const one = new (block) FreeBlock{nullptr};
    give_back(one, one, 1);
  }

  /// Blocks to be given back, all at once when it goes.
  class Returned {
   public:
    explicit Returned(BlockPool& pool) noexcept : pool_(pool) {}
    ~Returned() {
      if (count_ != 0) pool_.give_back(first_, last_, count_);
    }
    Returned(const Returned&) = delete;
    Returned& operator=(const Returned&) = delete;

    void add(void* block) noexcept {
      if (count_ == kMost) return ::operator delete(block);
      first_ = new (block) FreeBlock{first_};
      if (count_++ == 0) last_ = first_;
    }

   private:
    BlockPool& pool_;
    FreeBlock* first_ = nullptr;
    FreeBlock* last_ = nullptr;
    int count_ = 0;
  };

 private:
  void* get_returned() noexcept;
  void give_back(FreeBlock* first, FreeBlock* last, int count) noexcept;

  std::atomic<FreeBlock*> returned_{nullptr};
  int waiting_ = 0;  // in there, as far as the loop knows: some thread may have taken them
};

}  // namespace evio::internal
