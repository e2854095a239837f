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

/// Whether an error says that this machine has no such address family.
bool is_family_absent(std::error_code err) noexcept;

}  // namespace evio::internal
