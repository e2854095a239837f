#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "evio/detail/ref_counted.hpp"

namespace evio {

namespace internal {

class BytesAccess;

/// The literal as a view; empty for nullptr, so that `out = {}` works.
constexpr std::string_view view_of(const char* text) noexcept {
  return text == nullptr ? std::string_view() : std::string_view(text);
}

}  // namespace internal

/// An immutable range of bytes that shares ownership of its storage; the counterpart of Go's []byte.
///
/// Copying is O(1): the copy has the same data() and keeps the storage alive. A plain view (view(), data()) is valid as
/// long as any Bytes of the same storage exists.
/// The exception is the input of a connection with Options::reuse_input_buffer: it and its copies are plain views.
/// Thread-safety: different Bytes of one storage may be used, copied and destroyed concurrently.
class Bytes {
 public:
  using value_type = char;                                     ///< For code written for containers.
  using const_iterator = const char*;                          ///< For code written for containers.
  static constexpr std::size_t npos = std::string_view::npos;  ///< As a length: up to the end.

  /// No bytes.
  constexpr Bytes() noexcept = default;
  /// Takes ownership of a string without copying its bytes, except those of a string so short that it stores them
  /// inside itself.
  Bytes(std::string bytes);  // NOLINT(google-explicit-constructor): a string is welcome wherever Bytes are
  /// Shares the storage of `other`.
  Bytes(const Bytes& other) noexcept;
  /// Takes over the storage of `other`, which becomes empty.
  Bytes(Bytes&& other) noexcept;
  /// Copies or moves, depending on the argument.
  Bytes& operator=(Bytes other) noexcept;
  /// The last Bytes of a storage frees it.
  constexpr ~Bytes();

  /// Copies `bytes` into storage of their own.
  static Bytes copy(std::string_view bytes);
  /// Refers to bytes that are never freed, such as a string literal. Copies and counts nothing.
  static constexpr Bytes literal(std::string_view bytes) noexcept;

  /// The first byte. The range is not terminated by a zero.
  const char* data() const noexcept { return data_; }
  /// The number of bytes.
  std::size_t size() const noexcept { return size_; }
  /// True if there are no bytes.
  bool empty() const noexcept { return size_ == 0; }
  /// The first byte.
  const char* begin() const noexcept { return data_; }
  /// The end of the range.
  const char* end() const noexcept { return data_ + size_; }

  /// The bytes as a view, which does not keep the storage alive.
  std::string_view view() const noexcept { return {data_, size_}; }
  /// The same as view().
  operator std::string_view() const noexcept { return view(); }  // NOLINT(google-explicit-constructor)
  /// A copy of the bytes.
  std::string str() const { return std::string(view()); }

  /// At most n bytes from pos on. Shares the storage, and so keeps all of it alive. pos and n are clamped to the end.
  Bytes substr(std::size_t pos, std::size_t n = npos) const noexcept;
  /// Drops the first n bytes from this range; all of them if there are fewer. The storage does not change.
  void remove_prefix(std::size_t n) noexcept;
  /// Exchanges the two ranges. Copies no bytes.
  void swap(Bytes& other) noexcept;

  /// The same bytes, in whatever storage.
  friend bool operator==(const Bytes& a, const Bytes& b) noexcept { return a.view() == b.view(); }
  /// @overload
  friend bool operator==(const Bytes& a, std::string_view b) noexcept { return a.view() == b; }
  /// @overload
  friend bool operator==(const Bytes& a, const std::string& b) noexcept { return a.view() == b; }
  /// @overload
  friend bool operator==(const Bytes& a, const char* b) noexcept { return a.view() == b; }

 private:
  friend class internal::BytesAccess;
  // Takes over one reference to `storage`.
  constexpr Bytes(const char* data, std::size_t size, internal::Storage* storage) noexcept
      : data_(data), size_(size), storage_(storage) {}

  const char* data_ = nullptr;
  std::size_t size_ = 0;
  internal::Storage* storage_ = nullptr;
};

inline Bytes::Bytes(const Bytes& other) noexcept : data_(other.data_), size_(other.size_), storage_(other.storage_) {
  if (storage_ != nullptr) storage_->retain();
}

inline Bytes::Bytes(Bytes&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      storage_(std::exchange(other.storage_, nullptr)) {}

inline Bytes& Bytes::operator=(Bytes other) noexcept {
  swap(other);
  return *this;
}

constexpr Bytes::~Bytes() {
  if (storage_ != nullptr) storage_->release();
}

constexpr Bytes Bytes::literal(std::string_view bytes) noexcept { return Bytes(bytes.data(), bytes.size(), nullptr); }

inline Bytes Bytes::substr(std::size_t pos, std::size_t n) const noexcept {
  pos = pos < size_ ? pos : size_;
  n = n < size_ - pos ? n : size_ - pos;
  if (storage_ != nullptr) storage_->retain();
  return Bytes(data_ + pos, n, storage_);
}

inline void Bytes::remove_prefix(std::size_t n) noexcept {
  n = n < size_ ? n : size_;
  data_ += n;
  size_ -= n;
}

inline void Bytes::swap(Bytes& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(storage_, other.storage_);
}

}  // namespace evio
