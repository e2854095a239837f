#include "internal/bytes_access.hpp"

namespace evio::internal {
namespace {

class BorrowedMark final : public Counted {
 private:
  void dispose() noexcept override {}
};

BorrowedMark& mark() noexcept {
  static BorrowedMark& the_mark = *new BorrowedMark;  // not destroyed at exit: a late copy may still count on it
  return the_mark;
}

}  // namespace

Bytes BytesAccess::borrow(std::string_view text) noexcept {
  mark().retain();
  return Bytes(text.data(), text.size(), &mark());
}

bool BytesAccess::is_borrowed(const Bytes& bytes) noexcept { return bytes.storage_ == &mark(); }

}  // namespace evio::internal
