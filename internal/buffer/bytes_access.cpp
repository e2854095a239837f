#include "internal/buffer/bytes_access.hpp"

#include <new>

namespace evio::internal {
namespace {

class BorrowedMark final : public Storage {
 public:
  ~BorrowedMark() override = default;
  std::size_t capacity() const noexcept override { return 0; }

 private:
  void dispose() noexcept override {}
};

BorrowedMark& mark() noexcept {
  // Not destroyed at exit, as a late copy may still count on it, and made without memory, as the caller cannot fail.
  union Immortal {
    Immortal() : mark() {}
    ~Immortal() {}
    BorrowedMark mark;
  };
  static Immortal immortal;
  return immortal.mark;
}

}  // namespace

Bytes BytesAccess::borrow(std::string_view text) noexcept {
  mark().retain();
  return Bytes(text.data(), text.size(), &mark());
}

bool BytesAccess::is_borrowed(const Bytes& bytes) noexcept { return bytes.storage_ == &mark(); }

void BytesAccess::move_out(Bytes& bytes) noexcept {
  try {
    bytes = Bytes::copy(bytes.view());
  } catch (const std::bad_alloc&) {
  }
}

}  // namespace evio::internal
