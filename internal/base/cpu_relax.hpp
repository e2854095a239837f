#pragma once

namespace evio::internal {

/// For a thread that looks again and again at what another one is about to change: lets the processor rest for some
/// tens of cycles. Nothing where no way to say so is known. Thread-safety: any thread.
inline void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");  // its "yield" does nothing on most processors
#endif
}

}  // namespace evio::internal
