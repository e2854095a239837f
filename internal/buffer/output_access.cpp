#include "internal/buffer/output_access.hpp"

namespace evio::internal {

int OutputAccess::gather(const Output& out, std::span<iovec> parts) noexcept {
  std::size_t count = 0;
  for_each(out, [&](std::string_view piece, const Bytes*) {
    if (count < parts.size()) parts[count++] = {const_cast<char*>(piece.data()), piece.size()};
  });
  return static_cast<int>(count);
}

}  // namespace evio::internal
