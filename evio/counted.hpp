#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace evio::internal {

/// An object counted by its holders and disposed of by the last one to let go; born with one.
/// Thread-safety: the count may be changed from any thread.
class Counted {
 public:
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

  // relaxed: whoever adds a holder is one already, so nothing has to be made visible by it.
  void retain() noexcept { holders_.fetch_add(1, std::memory_order_relaxed); }

  // acq_rel: what every holder did happens before the disposal by the last.
  void release(std::uint32_t holds = 1) noexcept {
    if (holders_.fetch_sub(holds, std::memory_order_acq_rel) == holds) dispose();
  }

  // acquire: pairs with release() of the holder before, whose reads must be over when its bytes are overwritten.
  bool unshared() const noexcept { return holders_.load(std::memory_order_acquire) == 1; }

 protected:
  Counted() = default;
  virtual ~Counted() = default;
  virtual void dispose() noexcept { delete this; }

 private:
  std::atomic<std::uint32_t> holders_{1};
};

/// What Bytes lie in.
class Storage : public Counted {
 public:
  /// How much memory lives for as long as it does, its own few bytes aside.
  virtual std::size_t capacity() const noexcept = 0;
};

}  // namespace evio::internal
