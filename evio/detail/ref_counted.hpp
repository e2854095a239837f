#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace evio::internal {

/// Intrusive atomic reference count, initially 1. The last release() calls dispose().
/// Thread-safety: the count may be changed from any thread.
class RefCounted {
 public:
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  // relaxed: the caller already has a reference, so the new one need not make anything visible.
  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }

  // acq_rel: every use of the object happens before dispose().
  void release() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) dispose();
  }

  /// True if the references that the caller owns are all there are.
  // acquire, paired with release(): all other threads have finished reading before the caller overwrites the bytes.
  bool unshared(std::uint32_t own = 1) const noexcept { return references_.load(std::memory_order_acquire) == own; }

 protected:
  RefCounted() = default;
  virtual ~RefCounted() = default;
  virtual void dispose() noexcept { delete this; }

 private:
  std::atomic<std::uint32_t> references_{1};
};

/// A counted reference. Thread-safety: a plain value; different references to one object may be used on different
/// threads.
template <class T>
class RefPtr {
 public:
  RefPtr() noexcept = default;
  /// Takes over the reference the object was created with.
  explicit RefPtr(T* object) noexcept : object_(object) {}
  RefPtr(const RefPtr& other) noexcept : object_(other.object_) {
    if (object_ != nullptr) object_->retain();
  }
  RefPtr(RefPtr&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  RefPtr& operator=(RefPtr other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~RefPtr() {
    if (object_ != nullptr) object_->release();
  }

  T* get() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  T* detach() noexcept { return std::exchange(object_, nullptr); }

 private:
  T* object_ = nullptr;
};

/// The memory that Bytes refer to.
class Storage : public RefCounted {
 public:
  /// How much memory it keeps alive, apart from its own few bytes.
  virtual std::size_t capacity() const noexcept = 0;
};

}  // namespace evio::internal
