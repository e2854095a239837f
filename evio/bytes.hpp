#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "evio/detail/ref_counted.hpp"

namespace evio {

namespace internal {

class BytesAccess;

/// What a literal holds; nothing when it is none, as in `out = {}`.
constexpr std::string_view text_of(const char* text) noexcept {
  return text == nullptr ? std::string_view() : std::string_view(text);
}

}  // namespace internal

/// An immutable run of bytes that knows who keeps its storage alive; what []byte is to Go's evio.
///
/// Copying one is O(1): the copy shares the storage, has the same data(), and keeps it alive for as long as the copy
/// lives. A plain view of one (view(), data()) lives as long as some Bytes of the same storage does.
/// The input of a connection with Options::reuse_input_buffer is the exception: it and its copies are plain views.
/// Thread-safety: different Bytes of one storage may be used, copied and destroyed on different threads at once.
class Bytes {
 public:
  using value_type = char;
  using const_iterator = const char*;
  static constexpr std::size_t npos = std::string_view::npos;

  /// No bytes at all.
  constexpr Bytes() noexcept = default;
  /// Takes the string over; its bytes are not copied unless std::string keeps them inside itself.
  Bytes(std::string text);  // NOLINT(google-explicit-constructor): a string is welcome wherever Bytes are
  Bytes(const Bytes& other) noexcept : data_(other.data_), size_(other.size_), storage_(other.storage_) {
    if (storage_ != nullptr) storage_->retain();
  }
  Bytes(Bytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        storage_(std::exchange(other.storage_, nullptr)) {}
  Bytes& operator=(Bytes other) noexcept {
    swap(other);
    return *this;
  }
  constexpr ~Bytes() {
    if (storage_ != nullptr) storage_->release();
  }

  /// Bytes with storage of their own, holding what `text` holds now.
  static Bytes copy(std::string_view text);
  /// A view of bytes that live for ever, such as a string literal: nothing is copied, counted or freed.
  static constexpr Bytes literal(std::string_view text) noexcept { return Bytes(text.data(), text.size(), nullptr); }

  const char* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  const char* begin() const noexcept { return data_; }
  const char* end() const noexcept { return data_ + size_; }

  std::string_view view() const noexcept { return {data_, size_}; }
  operator std::string_view() const noexcept { return view(); }  // NOLINT(google-explicit-constructor)
  std::string str() const { return std::string(view()); }

  /// At most n bytes from pos on, sharing this storage (the whole of it stays alive). A pos or n past the end is cut.
  Bytes substr(std::size_t pos, std::size_t n = npos) const noexcept {
    pos = pos < size_ ? pos : size_;
    n = n < size_ - pos ? n : size_ - pos;
    if (storage_ != nullptr) storage_->retain();
    return Bytes(data_ + pos, n, storage_);
  }

  /// Drops the first n bytes from this view of the storage; all of them when n is past the end.
  void remove_prefix(std::size_t n) noexcept {
    n = n < size_ ? n : size_;
    data_ += n;
    size_ -= n;
  }

  void swap(Bytes& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(storage_, other.storage_);
  }

  friend bool operator==(const Bytes& a, const Bytes& b) noexcept { return a.view() == b.view(); }
  friend bool operator==(const Bytes& a, std::string_view b) noexcept { return a.view() == b; }
  friend bool operator==(const Bytes& a, const std::string& b) noexcept { return a.view() == b; }
  friend bool operator==(const Bytes& a, const char* b) noexcept { return a.view() == b; }

 private:
  friend class internal::BytesAccess;
  // Takes over one hold of `storage`.
  constexpr Bytes(const char* data, std::size_t size, internal::Storage* storage) noexcept
      : data_(data), size_(size), storage_(storage) {}

  const char* data_ = nullptr;
  std::size_t size_ = 0;
  internal::Storage* storage_ = nullptr;
};

}  // namespace evio
