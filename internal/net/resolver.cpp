#include "internal/net/resolver.hpp"

#include <arpa/inet.h>
#include <netdb.h>

#include <algorithm>
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

struct FreeAddresses {
  void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};
using AddressList = std::unique_ptr<addrinfo, FreeAddresses>;

std::error_code look_up(const char* host, std::uint16_t port, const addrinfo& hints, AddressList& list) {
  addrinfo* found = nullptr;
  const int err = ::getaddrinfo(host, std::to_string(port).c_str(), &hints, &found);
  if (err == EAI_SYSTEM) return sys::last_error();
  if (err != 0) return {err, resolver_category()};
  list.reset(found);
  return {};
}

// An address as it is usually written: getaddrinfo(3) takes thousands of instructions for one. It knows other ways of
// writing one, too.
bool read_numeric(const char* host, std::uint16_t port, SocketAddress& address) noexcept {
  address = wildcard(AF_INET, port);
  if (::inet_pton(AF_INET, host, &address.v4.sin_addr) == 1) return true;
  address = wildcard(AF_INET6, port);
  return ::inet_pton(AF_INET6, host, &address.v6.sin6_addr) == 1;
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
  AddressList list;
  if (const auto code = look_up(spec.host.c_str(), spec.port, hints, list))
    return with_likely_address(call_error(spec, code, "resolve"), spec.text);
  for (const int family : {AF_INET, AF_INET6}) {
    for (const addrinfo* info = list.get(); info != nullptr; info = info->ai_next) {
      if (info->ai_family != family) continue;
      addresses.push_back(SocketAddress::from(info->ai_addr, info->ai_addrlen));
      break;
    }
  }
  return {};
}

Resolved resolve_peer(const std::string& host, std::uint16_t port, int family, bool look_up_names) {
  Resolved resolved;
  if (SocketAddress address; family == AF_UNSPEC && read_numeric(host.c_str(), port, address)) {
    resolved.addresses.push_back(address);
    return resolved;
  }
  addrinfo hints{};
  hints.ai_family = family;
  hints.ai_socktype = SOCK_STREAM;  // one entry for each address
  hints.ai_flags = AI_NUMERICSERV | (look_up_names ? 0 : AI_NUMERICHOST);
  AddressList list;
  resolved.error = look_up(host.empty() ? nullptr : host.c_str(), port, hints, list);
  if (!look_up_names && resolved.error == std::error_code(EAI_NONAME, resolver_category())) resolved.error = {};
  std::vector<SocketAddress> others;  // than the first one's family
  for (const addrinfo* info = list.get(); info != nullptr; info = info->ai_next) {
    if (info->ai_family != AF_INET && info->ai_family != AF_INET6) continue;
    const bool other = info->ai_family != list->ai_family;
    (other ? others : resolved.addresses).push_back(SocketAddress::from(info->ai_addr, info->ai_addrlen));
  }
  for (std::size_t i = 0; i != others.size(); ++i) {
    const std::size_t place = std::min(2 * i + 1, resolved.addresses.size());
    resolved.addresses.insert(resolved.addresses.begin() + static_cast<std::ptrdiff_t>(place), others[i]);
  }
  return resolved;
}

}  // namespace evio::internal
