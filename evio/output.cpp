#include "evio/output.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <utility>

namespace evio {

Output::~Output() { std::free(copied_); }

Output& Output::replace_slow(std::string_view x) {
  clear();
  return append(x);
}

Output& Output::replace_slow(const Bytes& x) {
  clear();
  return append(x);
}

Output& Output::append_slow(std::string_view x) {
  grow(x.size());
  return append(x);
}

void Output::grow(std::size_t more) {
  constexpr std::size_t kFirst = 64;
  if (more > static_cast<std::size_t>(-1) / 2 - copied_size_) throw std::length_error("evio::Output is too long");
  const std::size_t capacity = std::max({kFirst, copied_size_ + more, 2 * capacity_});
  // realloc(3) moves a large buffer by remapping its pages, without copying them.
  char* const text = static_cast<char*>(std::realloc(copied_, capacity));
  if (text == nullptr) throw std::bad_alloc();
  copied_ = text;
  capacity_ = capacity;
}

Output& Output::share(Bytes x) {
  const std::size_t size = x.size();
  shared_.push_back({copied_size_, std::move(x)});
  shared_size_ += size;
  return *this;
}

// Called when the output is empty. A buffer that one large answer needed is not kept for small ones that may follow.
void Output::shrink() noexcept {
  if (capacity_ > kKeptBytes) {
    std::free(copied_);
    copied_ = nullptr;
    capacity_ = 0;
  }
  shared_size_ = 0;
  if (shared_.capacity() > kKeptPieces) {
    std::vector<Shared>().swap(shared_);
  } else {
    shared_.clear();
  }
}

}  // namespace evio
