#include "internal/buffer/bytes_access.hpp"

#include <new>

namespace evio::internal {
namespace {

class UnownedStorage final : public Storage {
 public:
  ~UnownedStorage() override = default;
  std::size_t capacity() const noexcept override { return 0; }

 private:
  void dispose() noexcept override {}
};

UnownedStorage& unowned_storage() noexcept {
  // Never destroyed, as a copy may outlive static objects; and made without allocating, as the caller cannot fail.
  union Immortal {
    Immortal() : storage() {}
    ~Immortal() {}
    UnownedStorage storage;
  };
  static Immortal immortal;
  return immortal.storage;
}

}  // namespace

Bytes BytesAccess::make_unowned(std::string_view text) noexcept {
  unowned_storage().retain();
  return Bytes(text.data(), text.size(), &unowned_storage());
}

bool BytesAccess::is_unowned(const Bytes& bytes) noexcept { return bytes.storage_ == &unowned_storage(); }

void BytesAccess::move_out(Bytes& bytes) noexcept {
  try {
    bytes = Bytes::copy(bytes.view());
  } catch (const std::bad_alloc&) {
  }
}

}  // namespace evio::internal
