#include "evio/bytes.hpp"

#include <cstring>

#include "internal/block.hpp"
#include "internal/bytes_access.hpp"

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
  internal::Ref<internal::Block> block = internal::Block::make(text.size());
  char* const data = block->data();
  std::memcpy(data, text.data(), text.size());
  return internal::BytesAccess::make(data, text.size(), internal::Ref<internal::Storage>(block.detach()));
}

}  // namespace evio
