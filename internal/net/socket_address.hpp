#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <string>

#include "evio/addr.hpp"

namespace evio::internal {

enum class Network : std::uint8_t { kTcp, kUdp, kUnix };

/// An address as the kernel takes and gives it, with room for every family the library knows.
/// Thread-safety: a plain value.
struct SocketAddress {
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_un un;
  };
  socklen_t size;

  SocketAddress() noexcept : un{}, size(sizeof un) {}
  /// To be filled by the kernel, which says in `size` how far: what lies beyond is not set.
  struct ByKernel {};
  explicit SocketAddress(ByKernel) noexcept : size(sizeof un) { any.sa_family = AF_UNSPEC; }

  static SocketAddress from(const sockaddr* address, socklen_t size) noexcept;
  /// A unix path, or an abstract name after '@' (unix(7)). The path must fit: see kLongestPath.
  static SocketAddress unix_path(const std::string& path) noexcept;
  static constexpr std::size_t kLongestPath = sizeof(sockaddr_un::sun_path) - 1;

  /// The address the descriptor is bound to; false when the kernel does not say.
  bool read_local(int fd) noexcept;
  /// The address it is connected to; false when it is not connected.
  bool read_peer(int fd) noexcept;

  int family() const noexcept { return any.sa_family; }
  /// True for the address that stands for all of this host's.
  bool is_wildcard() const noexcept;
  /// In the public form: IPv4-mapped IPv6 (RFC 4291, 2.5.5.2) reads as IPv4.
  Addr to_addr(Network network) const;
};

}  // namespace evio::internal
