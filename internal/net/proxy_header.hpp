#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "internal/net/socket_address.hpp"

namespace evio::internal {

/// Which versions of the header are taken.
enum class ProxyVersions : std::uint8_t { kV1, kV2, kAny };

/// What a proxy says of the connection that it passes on. Thread-safety: a plain value.
struct ProxyHeader {
  std::size_t size = 0;        // what follows these bytes is the connection's own
  bool has_addresses = false;  // false: those of the socket count
  SocketAddress source;
  SocketAddress destination;
};

enum class ProxyState : std::uint8_t { kIncomplete, kComplete, kBad };

/// Reads the header that stands before everything else in a connection, as haproxy's proxy-protocol.txt has it. `bytes`
/// is all that has come so far, and may hold more than the header.
/// kIncomplete: all of it belongs to the header, and it may still become a good one. kComplete: `header` is filled in.
/// kBad: it cannot become a good one, whatever comes; `why` is the reason, a literal.
ProxyState parse_proxy_header(std::string_view bytes, ProxyVersions accepted, ProxyHeader& header,
                              std::string_view& why) noexcept;

}  // namespace evio::internal
