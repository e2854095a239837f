#pragma once

namespace evio::internal {

/// For a thread that polls what another one is about to change: pauses the processor for some tens of cycles. Does
/// nothing on processors without a known instruction for it. Thread-safety: any thread.
inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");  // its "yield" does nothing on most processors
#endif
}

}  // namespace evio::internal
