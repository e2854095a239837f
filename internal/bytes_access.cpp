#include "internal/bytes_access.hpp"

namespace evio::internal {
namespace {

class BorrowedMark final : public Counted {
 public:
  ~BorrowedMark() override = default;

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

}  // namespace evio::internal
