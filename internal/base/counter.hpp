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
  void subtract(T n) noexcept { add(T{0} - n); }
  /// relaxed, as in store(): only the number counts.
  T value() const noexcept { return std::atomic_ref(const_cast<T&>(value_)).load(std::memory_order_relaxed); }

 private:
  void store(T n) noexcept { std::atomic_ref(value_).store(n, std::memory_order_relaxed); }

  alignas(std::atomic_ref<T>::required_alignment) T value_ = 0;
};

}  // namespace evio::internal
