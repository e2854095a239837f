#pragma once

#include <cstddef>
#include <new>
#include <utility>

#include "internal/base/sanitizer.hpp"

namespace evio::internal {

/// A base for objects that come and go with connections: each thread keeps the memory of up to kKept of them for the
/// next ones, as malloc(3) does for seven of a size. Not under AddressSanitizer, which is to find what is used later.
/// Thread-safety: an object may be created on one thread and destroyed on another, which then keeps its memory.
template <class T, std::size_t kKept = 256>
class Recycled {
 public:
  static void* operator new(std::size_t size) {
    if (Block* const block = take()) return block;
    return ::operator new(size);
  }
  static void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    if (Block* const block = take()) return block;
    return ::operator new(size, std::nothrow);
  }
  static void operator delete(void* memory) noexcept {
    static_assert(sizeof(T) >= sizeof(Block) && alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    if (kAddressSanitizer || kept == kKept || ending) return ::operator delete(memory);
    owner.touch();
    first = new (memory) Block{first};
    ++kept;
  }

 private:
  struct Block {
    Block* next;
  };

  static Block* take() noexcept {
    if (first == nullptr) return nullptr;
    --kept;
    return std::exchange(first, first->next);
  }

  // Plain values, so that they may be used while other objects of an ending thread are destroyed.
  static inline thread_local Block* first = nullptr;
  static inline thread_local std::size_t kept = 0;
  static inline thread_local bool ending = false;

  struct Owner {
    ~Owner() {
      ending = true;
      while (Block* const block = take()) ::operator delete(block);
    }
    void touch() noexcept {}
  };
  static inline thread_local Owner owner;
};

}  // namespace evio::internal
