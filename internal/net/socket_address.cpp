#include "internal/net/socket_address.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "internal/base/syscalls.hpp"
#include "internal/net/addr_access.hpp"

namespace evio::internal {

SocketAddress SocketAddress::from(const sockaddr* address, socklen_t size) noexcept {
  SocketAddress result;
  result.size = std::min<socklen_t>(size, sizeof(sockaddr_un));
  std::memcpy(&result.un, address, result.size);
  return result;
}

SocketAddress SocketAddress::unix_path(const std::string& path) noexcept {
  SocketAddress result;
  result.un.sun_family = AF_UNIX;
  std::memcpy(result.un.sun_path, path.data(), std::min(path.size(), kLongestPath));
  const bool abstract = path.starts_with('@');
  if (abstract) result.un.sun_path[0] = '\0';
  result.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1));
  return result;
}

bool SocketAddress::read_local(int fd) noexcept {
  size = sizeof un;
  return sys::getsockname(fd, &any, &size) == 0;
}

bool SocketAddress::read_peer(int fd) noexcept {
  size = sizeof un;
  return sys::getpeername(fd, &any, &size) == 0;
}

bool SocketAddress::is_wildcard() const noexcept {
  if (family() == AF_INET) return v4.sin_addr.s_addr == htonl(INADDR_ANY);
  return family() == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr);
}

Addr SocketAddress::to_addr(Network network) const {
  if (network == Network::kUnix) {
    constexpr std::size_t kPrefix = offsetof(sockaddr_un, sun_path);
    if (size <= kPrefix) return AddrAccess::path({});
    // A path that fills sun_path is reported with a NUL after it, for which there is no room (unix(7), BUGS).
    const std::size_t length = std::min(size - kPrefix, sizeof un.sun_path);
    if (un.sun_path[0] != '\0') return AddrAccess::path({un.sun_path, ::strnlen(un.sun_path, length)});
    return AddrAccess::path('@' + std::string(un.sun_path + 1, length - 1));
  }
  if (family() == AF_INET6) {
    const unsigned char* const ip = v6.sin6_addr.s6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return AddrAccess::ip(network, ip + 12, false, ntohs(v6.sin6_port), 0);
    return AddrAccess::ip(network, ip, true, ntohs(v6.sin6_port), v6.sin6_scope_id);
  }
  return AddrAccess::ip(network, &v4.sin_addr, false, ntohs(v4.sin_port), 0);
}

}  // namespace evio::internal
