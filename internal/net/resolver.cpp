#include "internal/net/resolver.hpp"

#include <netdb.h>

#include <memory>
#include <string>

#include "internal/base/file_descriptor.hpp"
#include "internal/base/syscalls.hpp"

namespace evio::internal {
namespace {

using Family = AddressSpec::Family;

SocketAddress wildcard(int family, std::uint16_t port) {
  SocketAddress address;
  address.any.sa_family = static_cast<sa_family_t>(family);
  (family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port) = htons(port);
  address.size = family == AF_INET6 ? sizeof address.v6 : sizeof address.v4;
  return address;
}

// Whether this machine has IPv6. A socket that cannot be made for another reason does not tell.
Error find_ipv6(const AddressSpec& spec, bool& found) {
  found = FileDescriptor(sys::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)).valid();
  const auto err = sys::last_error();
  return found || is_family_absent(err) ? Error() : call_error(spec, err, "socket");
}

}  // namespace

int socket_type(Network network) noexcept { return network == Network::kUdp ? SOCK_DGRAM : SOCK_STREAM; }

// What socket(2) says where the machine has no such family, or the family no such protocol.
bool is_family_absent(std::error_code err) noexcept {
  return err == std::errc::address_family_not_supported || err == std::errc::protocol_not_supported ||
         err == std::error_code(EPFNOSUPPORT, std::system_category());
}

Error resolve(const AddressSpec& spec, std::vector<SocketAddress>& addresses) {
  if (spec.host.empty()) {
    bool v6 = spec.family == Family::kV6;
    if (spec.family == Family::kBoth) {
      if (auto err = find_ipv6(spec, v6)) return err;
    }
    addresses.push_back(wildcard(v6 ? AF_INET6 : AF_INET, spec.port));
    return {};
  }
  addrinfo hints{};
  hints.ai_family = spec.family == Family::kV4 ? AF_INET : spec.family == Family::kV6 ? AF_INET6 : AF_UNSPEC;
  hints.ai_socktype = socket_type(spec.network);
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int err = ::getaddrinfo(spec.host.c_str(), std::to_string(spec.port).c_str(), &hints, &found);
  if (err != 0) {
    const std::error_code code = err == EAI_SYSTEM ? sys::last_error() : std::error_code(err, resolver_category());
    return with_likely_address(call_error(spec, code, "resolve"), spec.text);
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  for (const int family : {AF_INET, AF_INET6}) {
    for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
      if (info->ai_family != family) continue;
      addresses.push_back(SocketAddress::from(info->ai_addr, info->ai_addrlen));
      break;
    }
  }
  return {};
}

}  // namespace evio::internal
