#pragma once

#include <system_error>
#include <vector>

#include "evio/error.hpp"
#include "internal/net/address_spec.hpp"
#include "internal/net/socket_address.hpp"

namespace evio::internal {

/// SOCK_STREAM or SOCK_DGRAM.
int socket_type(Network network) noexcept;

/// The addresses to bind for a tcp or udp address. Of a name, the first of each family, as its clients may try either;
/// IPv4 first, as Go prefers it. Waits for the answer of name resolution (getaddrinfo(3)).
Error resolve(const AddressSpec& spec, std::vector<SocketAddress>& addresses);

/// What a look-up of a name came to.
struct Resolved {
  std::vector<SocketAddress> addresses;
  std::error_code error;
};

/// The addresses of a host to connect to: `port` of each, of that family if there is one (AF_INET, AF_INET6), in the
/// order in which they are to be tried: getaddrinfo(3)'s, but alternating between the families (RFC 8305, section 4).
/// An empty host is this one's loopback addresses. A name is only looked up, which may take long, where that is asked
/// for: otherwise there are no addresses, and no error.
Resolved resolve_peer(const std::string& host, std::uint16_t port, int family, bool look_up_names);

/// Whether an error says that this machine has no such address family.
bool is_family_absent(std::error_code err) noexcept;

}  // namespace evio::internal
