#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "evio/addr.hpp"
#include "internal/net/socket_address.hpp"

namespace evio::internal {

/// Fills in, and reads, the parts of a public address. Thread-safety: none of its own.
class AddrAccess {
 public:
  static Addr ip(Network network, const void* ip, bool is_v6, std::uint16_t port, std::uint32_t scope) {
    Addr addr;
    std::memcpy(addr.ip_.data(), ip, is_v6 ? 16 : 4);
    addr.is_v6_ = is_v6;
    addr.port_ = port;
    addr.scope_ = scope;
    addr.network_ = network == Network::kTcp ? Addr::Network::kTcp : Addr::Network::kUdp;
    return addr;
  }
  static Addr path(std::string path) {
    Addr addr;
    addr.network_ = Addr::Network::kUnix;
    if (!path.empty()) addr.path_ = RefPtr<SharedPath>(new SharedPath(std::move(path)));
    return addr;
  }

  /// 4 bytes of an IPv4 address, an IPv4-mapped one too; 16 of an IPv6 address; none of a unix socket's, or of an empty
  /// Addr. They are the Addr's own.
  static std::span<const unsigned char> ip_bytes(const Addr& addr) noexcept {
    if (addr.network_ == Addr::Network::kNone || addr.network_ == Addr::Network::kUnix) return {};
    return std::span(addr.ip_).first(addr.is_v6_ ? 16 : 4);
  }
};

}  // namespace evio::internal
