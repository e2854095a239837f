#pragma once

#include "evio/bytes.hpp"
#include "evio/detail/ref_counted.hpp"
#include "evio/detail/share_policy.hpp"

namespace evio::internal {

/// What the library may do with Bytes that its user may not.
class BytesAccess {
 public:
  static Bytes make(const char* data, std::size_t size, RefPtr<Storage> storage) noexcept {
    return Bytes(data, size, storage.detach());
  }
  /// Another range of the same storage.
  static void set_range(Bytes& bytes, const char* data, std::size_t size) noexcept {
    bytes.data_ = data;
    bytes.size_ = size;
  }
  static Storage* storage(const Bytes& bytes) noexcept { return bytes.storage_; }

  /// Bytes that are overwritten after the call they were made for (Options::reuse_input_buffer): to keep them is to
  /// copy them. Their storage is a static sentinel that is never freed.
  static Bytes make_unowned(std::string_view text) noexcept;
  static bool is_unowned(const Bytes& bytes) noexcept;

  /// For bytes that are kept: where they are a small part of their storage (evio/detail/share_policy.hpp), moves them
  /// to one of their own. Where there is no memory for that they stay where they are, as unowned ones do.
  static void compact(Bytes& bytes) noexcept {
    if (bytes.storage_ != nullptr && !is_worth_sharing(bytes.size_, bytes.storage_->capacity())) move_out(bytes);
  }

 private:
  static void move_out(Bytes& bytes) noexcept;
};

}  // namespace evio::internal
