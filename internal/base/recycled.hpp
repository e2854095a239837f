#pragma once

#include <cstddef>
#include <new>

#include "internal/base/sanitizer.hpp"
#include "internal/base/thread_blocks.hpp"

namespace evio::internal {

/// A base for objects that come and go with connections: each thread keeps the memory of up to kKept of them for the
/// next ones, as malloc(3) does for seven of a size. Not under AddressSanitizer, which is to find what is used later.
/// Thread-safety: an object may be created on one thread and destroyed on another, which then keeps its memory.
template <class T, std::size_t kKept = 256>
class Recycled {
 public:
  static void* operator new(std::size_t size) {
    void* const block = take();
    return block == nullptr ? ::operator new(size) : block;
  }
  static void* operator new(std::size_t size, const std::nothrow_t& none) noexcept {
    void* const block = take();
    return block == nullptr ? ::operator new(size, none) : block;
  }
  static void operator delete(void* memory) noexcept {
    static_assert(sizeof(T) >= sizeof(FreeBlock) && alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    if (kAddressSanitizer || kept == kKept || !ThreadBlocks<T>::put(memory)) return ::operator delete(memory);
    ++kept;
  }

 private:
  static void* take() noexcept {
    void* const block = ThreadBlocks<T>::take();
    if (block != nullptr) --kept;
    return block;
  }

  static inline thread_local std::size_t kept = 0;
};

}  // namespace evio::internal
