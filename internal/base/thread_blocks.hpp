#pragma once

#include <new>
#include <utility>

namespace evio::internal {

/// A block of memory that nobody uses, in a list.
struct FreeBlock {
  FreeBlock* next;

  static void free_all(FreeBlock* first) noexcept {
    while (first != nullptr) ::operator delete(std::exchange(first, first->next));
  }
};

/// The blocks that each thread keeps for `Owner`, which says how large they are. They are freed when the thread ends.
/// Thread-safety: any thread, each of which has its own.
template <class Owner>
class ThreadBlocks {
 public:
  /// nullptr when this thread keeps none.
  static void* take() noexcept { return first == nullptr ? nullptr : std::exchange(first, first->next); }
  /// False, and takes nothing, when this thread ends.
  static bool put(void* block) noexcept {
    if (ending) return false;
    guard.touch();
    first = new (block) FreeBlock{first};
    return true;
  }
  /// Takes a list over, when this thread keeps no block and does not end.
  static void put_all(FreeBlock* blocks) noexcept {
    guard.touch();
    first = blocks;
  }
  static bool can_put_all() noexcept { return first == nullptr && !ending; }

 private:
  // Plain values, so that they may be used while other objects of an ending thread are destroyed.
  static inline thread_local FreeBlock* first = nullptr;
  static inline thread_local bool ending = false;

  struct Guard {
    ~Guard() {
      ending = true;
      FreeBlock::free_all(std::exchange(first, nullptr));
    }
    void touch() noexcept {}  // makes it, and has it destroyed with the thread
  };
  static inline thread_local Guard guard;
};

}  // namespace evio::internal
