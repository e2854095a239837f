#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "evio/bytes.hpp"
#include "evio/detail/share_policy.hpp"

namespace evio {

namespace internal {
class OutputAccess;
}

/// What one callback sends: the loop's reusable buffer, empty when the callback starts.
///
/// It holds text that was copied and, in between, large Bytes that are only shared. What it holds when the callback
/// returns is appended to what the connection already has to send; nothing here ever replaces that.
/// Whatever adds to it may throw std::bad_alloc.
/// Thread-safety: used on its loop's thread, during the callback it was given to.
class Output {
 public:
  using value_type = char;

  Output() = default;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output();

  /// Replaces what this call has added by x: a view, a literal or a string is copied; a std::string that is moved in
  /// and Bytes are taken over without copying when they are large (16 KiB and more).
  Output& operator=(std::string_view x) {
    if (x.size() > capacity_ || shared_size_ != 0) [[unlikely]]
      return replace_slowly(x);
    return replace(x);
  }
  Output& operator=(const char* x) { return *this = internal::text_of(x); }
  Output& operator=(const std::string& x) { return *this = std::string_view(x); }
  Output& operator=(std::string&& x) { return clear(), append(std::move(x)); }
  Output& operator=(const Bytes& x) {
    if (x.size() >= internal::kShareInOutput || x.size() > capacity_ || shared_size_ != 0) [[unlikely]]
      return replace_slowly(x);
    return replace(x.view());
  }
  Output& operator=(Bytes&& x) { return clear(), append(std::move(x)); }

  /// Adds x behind what is there; taken over or copied as by operator=.
  Output& append(std::string_view x) {
    if (x.size() > capacity_ - text_size_) [[unlikely]]
      return append_growing(x);
    char* const to = text_ + text_size_;
    text_size_ += x.size();  // before the copy: nothing has to be kept across the call
    if (!x.empty()) std::memcpy(to, x.data(), x.size());
    return *this;
  }
  Output& append(const char* x) { return append(internal::text_of(x)); }
  Output& append(const std::string& x) { return append(std::string_view(x)); }
  Output& append(std::string&& x) {
    return x.size() < internal::kShareInOutput ? append(std::string_view(x)) : share(Bytes(std::move(x)));
  }
  Output& append(const Bytes& x) { return x.size() < internal::kShareInOutput ? append(x.view()) : share(Bytes(x)); }
  Output& append(Bytes&& x) { return x.size() < internal::kShareInOutput ? append(x.view()) : share(std::move(x)); }

  Output& operator+=(std::string_view x) { return append(x); }
  Output& operator+=(const char* x) { return append(x); }
  Output& operator+=(const std::string& x) { return append(x); }
  Output& operator+=(std::string&& x) { return append(std::move(x)); }
  Output& operator+=(const Bytes& x) { return append(x); }
  Output& operator+=(Bytes&& x) { return append(std::move(x)); }

  /// Adds one byte; with value_type it is what std::back_inserter needs.
  void push_back(char byte) {
    if (text_size_ == capacity_) grow(1);
    text_[text_size_++] = byte;
  }

  /// How many bytes this callback has added so far.
  std::size_t size() const noexcept { return text_size_ + shared_size_; }
  bool empty() const noexcept { return size() == 0; }
  /// Takes back what this call has added. A buffer that has become large is given back.
  void clear() noexcept {
    text_size_ = 0;
    if (shared_size_ != 0 || capacity_ > kKeptText) [[unlikely]]
      give_back();
  }

 private:
  friend class internal::OutputAccess;

  // What an Output keeps when it is emptied: no larger a buffer, and room for no more shared pieces.
  static constexpr std::size_t kKeptText = 128 * 1024;
  static constexpr std::size_t kKeptPieces = 64;

  struct Shared {
    std::size_t text_before;  // how much of the text goes out before these bytes
    Bytes bytes;
  };

  // In place of all there is, where that fits.
  Output& replace(std::string_view x) noexcept {
    text_size_ = x.size();
    if (!x.empty()) std::memcpy(text_, x.data(), x.size());
    return *this;
  }
  Output& replace_slowly(std::string_view x);
  Output& replace_slowly(const Bytes& x);
  Output& append_growing(std::string_view x);
  void grow(std::size_t more);
  Output& share(Bytes x);
  void give_back() noexcept;

  char* text_ = nullptr;
  std::size_t text_size_ = 0;
  std::size_t capacity_ = 0;
  std::size_t shared_size_ = 0;
  std::vector<Shared> shared_;
};

}  // namespace evio
