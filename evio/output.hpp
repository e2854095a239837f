#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "evio/bytes.hpp"
#include "evio/detail/copy_bytes.hpp"
#include "evio/detail/share_policy.hpp"

namespace evio {

namespace internal {
class OutputAccess;
}

/// What one callback sends: a buffer that its loop reuses, empty when the callback starts.
///
/// When the callback returns, the contents are appended to what the connection already has to send; they never replace
/// any of it. Small pieces are copied into the buffer. A std::string that is moved in and Bytes are taken over without
/// copying if they are large (16 KiB or more).
/// Everything that adds bytes may throw std::bad_alloc.
/// Thread-safety: may only be used on the loop's thread, during the callback it was passed to.
class Output {
 public:
  using value_type = char;  ///< For std::back_inserter.

  /// An empty output.
  Output() = default;
  /// Not copyable.
  Output(const Output&) = delete;
  /// Not copyable.
  Output& operator=(const Output&) = delete;
  /// Frees the buffer.
  ~Output();

  /// Replaces what this callback has added so far with a copy of x. `out = {}` leaves nothing.
  Output& operator=(std::string_view x);
  /// @overload
  Output& operator=(const char* x) { return *this = internal::view_of(x); }
  /// @overload
  Output& operator=(const std::string& x) { return *this = std::string_view(x); }
  /// Replaces it with x. A large string is taken over, not copied.
  Output& operator=(std::string&& x) { return clear(), append(std::move(x)); }
  /// Replaces it with x. Large Bytes are shared, not copied.
  Output& operator=(const Bytes& x);
  /// Replaces it with x. Large Bytes are taken over, not copied.
  Output& operator=(Bytes&& x) { return clear(), append(std::move(x)); }

  /// Adds a copy of x.
  Output& append(std::string_view x);
  /// @overload
  Output& append(const char* x) { return append(internal::view_of(x)); }
  /// @overload
  Output& append(const std::string& x) { return append(std::string_view(x)); }
  /// Adds x. A large string is taken over, not copied.
  Output& append(std::string&& x);
  /// Adds x. Large Bytes are shared, not copied.
  Output& append(const Bytes& x);
  /// Adds x. Large Bytes are taken over, not copied.
  Output& append(Bytes&& x);

  /// The same as append(x).
  Output& operator+=(std::string_view x) { return append(x); }
  /// @overload
  Output& operator+=(const char* x) { return append(x); }
  /// @overload
  Output& operator+=(const std::string& x) { return append(x); }
  /// @overload
  Output& operator+=(std::string&& x) { return append(std::move(x)); }
  /// @overload
  Output& operator+=(const Bytes& x) { return append(x); }
  /// @overload
  Output& operator+=(Bytes&& x) { return append(std::move(x)); }

  /// Adds one byte.
  void push_back(char byte);

  /// How many bytes this callback has added so far.
  std::size_t size() const noexcept { return copied_size_ + shared_size_; }
  /// True if this callback has added nothing.
  bool empty() const noexcept { return size() == 0; }
  /// Drops what this callback has added. A buffer that has grown large is freed.
  void clear() noexcept;

 private:
  friend class internal::OutputAccess;

  // What an Output keeps when it is emptied: no larger a buffer, and room for no more shared pieces.
  static constexpr std::size_t kKeptBytes = 128 * 1024;
  static constexpr std::size_t kKeptPieces = 64;

  struct Shared {
    std::size_t copied_before;  // how much of the copied bytes leaves before these
    Bytes bytes;
  };

  Output& replace(std::string_view x) noexcept;
  Output& replace_slow(std::string_view x);
  Output& replace_slow(const Bytes& x);
  Output& append_slow(std::string_view x);
  void grow(std::size_t more);
  Output& share(Bytes x);
  void shrink() noexcept;

  char* copied_ = nullptr;       // the copied bytes
  std::size_t copied_size_ = 0;  // how many there are
  std::size_t capacity_ = 0;     // how many fit
  std::size_t shared_size_ = 0;  // the sum of what shared_ refers to
  std::vector<Shared> shared_;
};

inline Output& Output::operator=(std::string_view x) {
  if (x.size() > capacity_ || shared_size_ != 0) [[unlikely]]
    return replace_slow(x);
  return replace(x);
}

inline Output& Output::operator=(const Bytes& x) {
  if (x.size() >= internal::kShareInOutput || x.size() > capacity_ || shared_size_ != 0) [[unlikely]]
    return replace_slow(x);
  return replace(x.view());
}

// Nothing is shared, and x fits.
inline Output& Output::replace(std::string_view x) noexcept {
  copied_size_ = x.size();
  internal::copy_bytes(copied_, x);
  return *this;
}

inline Output& Output::append(std::string_view x) {
  if (x.size() > capacity_ - copied_size_) [[unlikely]]
    return append_slow(x);
  char* const to = copied_ + copied_size_;
  copied_size_ += x.size();  // before the copy, so that nothing has to survive the call
  internal::copy_bytes(to, x);
  return *this;
}

inline Output& Output::append(std::string&& x) {
  return x.size() < internal::kShareInOutput ? append(std::string_view(x)) : share(Bytes(std::move(x)));
}

inline Output& Output::append(const Bytes& x) {
  return x.size() < internal::kShareInOutput ? append(x.view()) : share(Bytes(x));
}

inline Output& Output::append(Bytes&& x) {
  return x.size() < internal::kShareInOutput ? append(x.view()) : share(std::move(x));
}

inline void Output::push_back(char byte) {
  if (copied_size_ == capacity_) grow(1);
  copied_[copied_size_++] = byte;
}

inline void Output::clear() noexcept {
  copied_size_ = 0;
  if (shared_size_ != 0 || capacity_ > kKeptBytes) [[unlikely]]
    shrink();
}

}  // namespace evio
