#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define EVIO_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EVIO_ADDRESS_SANITIZER 1
#endif
#endif

#ifdef EVIO_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

/// Tells AddressSanitizer which bytes of a buffer may be touched, so that a view used after its call fails at once.
namespace evio::internal {

#ifdef EVIO_ADDRESS_SANITIZER
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif

inline void poison([[maybe_unused]] const void* from, [[maybe_unused]] std::size_t size) noexcept {
#ifdef EVIO_ADDRESS_SANITIZER
  __asan_poison_memory_region(from, size);
#endif
}

inline void unpoison([[maybe_unused]] const void* from, [[maybe_unused]] std::size_t size) noexcept {
#ifdef EVIO_ADDRESS_SANITIZER
  __asan_unpoison_memory_region(from, size);
#endif
}

}  // namespace evio::internal
