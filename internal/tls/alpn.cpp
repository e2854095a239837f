#include "internal/tls/alpn.hpp"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <system_error>

namespace evio::internal {

namespace {

using Protocols = std::span<const unsigned char>;

/// Calls found(protocol) for each until it says true, and returns that one.
template <class Found>
Protocols find_protocol(Protocols wire, Found found) {
  while (!wire.empty()) {
    const std::size_t size = std::min<std::size_t>(wire[0], wire.size() - 1);
    const Protocols protocol = wire.subspan(1, size);
    if (found(protocol)) return protocol;
    wire = wire.subspan(1 + size);
  }
  return {};
}

}  // namespace

Error Alpn::assign(std::span<const std::string> protocols) {
  wire_.clear();
  const auto invalid = std::make_error_code(std::errc::invalid_argument);
  for (const std::string& protocol : protocols) {
    if (protocol.empty() || protocol.size() > 255)
      return Error(invalid, "alpn: a protocol's name has 1 to 255 bytes, not " + std::to_string(protocol.size()));
    wire_.push_back(static_cast<unsigned char>(protocol.size()));
    wire_.insert(wire_.end(), protocol.begin(), protocol.end());
  }
  if (wire_.size() > 65535 - 2) return Error(invalid, "alpn: more than 65,533 bytes of protocols");  // RFC 7301, 3.1
  return Error();
}

bool Alpn::contains(Protocols protocol) const noexcept {
  return !find_protocol(wire_, [&](Protocols mine) { return std::ranges::equal(mine, protocol); }).empty();
}

Protocols Alpn::choose(Protocols of_client) const noexcept {
  return find_protocol(wire_, [&](Protocols mine) {
    return !find_protocol(of_client, [&](Protocols theirs) { return std::ranges::equal(mine, theirs); }).empty();
  });
}

}  // namespace evio::internal
