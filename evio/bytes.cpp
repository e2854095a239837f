#include "evio/bytes.hpp"

#include <cstring>
#include <utility>

#include "internal/buffer/buffer.hpp"
#include "internal/buffer/bytes_access.hpp"

namespace evio {
namespace {

class StringStorage final : public internal::Storage {
 public:
  explicit StringStorage(std::string given) noexcept : string(std::move(given)) {}
  std::size_t capacity() const noexcept override { return string.capacity(); }
  std::string string;
};

}  // namespace

Bytes::Bytes(std::string bytes) {
  if (bytes.empty()) return;
  auto* const storage = new StringStorage(std::move(bytes));
  data_ = storage->string.data();
  size_ = storage->string.size();
  storage_ = storage;
}

Bytes Bytes::copy(std::string_view bytes) {
  if (bytes.empty()) return {};
  internal::RefPtr<internal::Buffer> buffer = internal::Buffer::make(bytes.size());
  char* const data = buffer->data();
  std::memcpy(data, bytes.data(), bytes.size());
  return internal::BytesAccess::make(data, bytes.size(), internal::RefPtr<internal::Storage>(buffer.detach()));
}

}  // namespace evio
