#include "evio/bytes.hpp"

#include <cstring>

#include "internal/buffer/buffer.hpp"
#include "internal/buffer/bytes_access.hpp"

namespace evio {
namespace {

class StringStorage final : public internal::Storage {
 public:
  explicit StringStorage(std::string given) noexcept : text(std::move(given)) {}
  std::size_t capacity() const noexcept override { return text.capacity(); }
  std::string text;
};

}  // namespace

Bytes::Bytes(std::string text) {
  if (text.empty()) return;
  auto* const storage = new StringStorage(std::move(text));
  data_ = storage->text.data();
  size_ = storage->text.size();
  storage_ = storage;
}

Bytes Bytes::copy(std::string_view text) {
  if (text.empty()) return {};
  internal::RefPtr<internal::Buffer> block = internal::Buffer::make(text.size());
  char* const data = block->data();
  std::memcpy(data, text.data(), text.size());
  return internal::BytesAccess::make(data, text.size(), internal::RefPtr<internal::Storage>(block.detach()));
}

}  // namespace evio
