#include "internal/buffer/buffer.hpp"

#include <sys/mman.h>

#include <new>

#include "internal/base/sanitizer.hpp"

namespace evio::internal {

namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kLarge = 32 * 1024;
// Where malloc(3) begins to map memory itself. It stops doing so for sizes that have been freed (mallopt(3),
// M_MMAP_THRESHOLD): then what slow peers leave waiting lies in the middle of the heap and is never given back.
constexpr std::size_t kMapped = 128 * 1024;

// AddressSanitizer watches only what malloc(3) gives.
constexpr bool is_mapped(std::size_t capacity) { return !kAddressSanitizer && capacity >= kMapped; }

char* map(std::size_t size) {
  void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<char*>(memory);
}

}  // namespace

RefPtr<Buffer> Buffer::make(std::size_t capacity) {
  const bool large = capacity >= kLarge;
  const std::size_t size = allocated(capacity);
  char* const memory = is_mapped(capacity) ? map(size) : static_cast<char*>(::operator new(size));
  const std::size_t shift = large ? -(reinterpret_cast<std::uintptr_t>(memory) + sizeof(Buffer)) % kLine : 0;
  RefPtr<Buffer> block(new (memory + shift) Buffer(capacity, static_cast<std::uint8_t>(shift)));
  if (large) poison(block->data() + capacity, kLine - shift);
  return block;
}

std::size_t Buffer::allocated(std::size_t capacity) noexcept {
  return sizeof(Buffer) + capacity + (capacity >= kLarge ? kLine : 0);
}

void Buffer::dispose() noexcept {
  const std::size_t capacity = capacity_;
  unpoison(data(), capacity + (capacity >= kLarge ? kLine - shift_ : 0));
  void* const memory = reinterpret_cast<char*>(this) - shift_;
  this->~Buffer();
  if (is_mapped(capacity)) {
    ::munmap(memory, allocated(capacity));
  } else {
    ::operator delete(memory);
  }
}

}  // namespace evio::internal
