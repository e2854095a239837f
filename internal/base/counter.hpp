#pragma once

#include <atomic>
#include <type_traits>

namespace evio::internal {

/// A number that one thread changes and any thread reads: as cheap as a plain one. Thread-safety: add() and subtract()
/// its owner's thread; value() any thread.
template <class T>
class Counter {
  static_assert(std::is_unsigned_v<T>);

 public:
  void add(T n) noexcept {
#ifdef __x86_64__
    // One instruction, where a load and a store of an atomic take three. An aligned word is never torn (Intel SDM,
    // volume 3, 9.1.1), and nobody else writes it.
    if constexpr (sizeof(T) == 8) {
      asm("addq %1, %0" : "+m"(value_) : "er"(n) : "cc");
      return;
    }
#endif
    store(value() + n);
  }
  void subtract(T n) noexcept {
#ifdef __x86_64__
    if constexpr (sizeof(T) == 8) {
      asm("subq %1, %0" : "+m"(value_) : "er"(n) : "cc");
      return;
    }
#endif
    store(value() - n);
  }
  /// acquire: what its owner had seen before it changed this is visible, as another part of the same sum has to be.
  T value() const noexcept { return std::atomic_ref(const_cast<T&>(value_)).load(std::memory_order_acquire); }

 private:
  // release: pairs with value(). On x86 every store is.
  void store(T n) noexcept { std::atomic_ref(value_).store(n, std::memory_order_release); }

  alignas(std::atomic_ref<T>::required_alignment) T value_ = 0;
};

}  // namespace evio::internal
