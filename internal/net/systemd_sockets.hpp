#pragma once

#include <vector>

#include "evio/error.hpp"
#include "internal/net/address_spec.hpp"

namespace evio::internal {

/// The descriptors that a service manager has passed to this process: all, or those that have the name in `spec`, in
/// their order. Follows the protocol of sd_listen_fds(3), but leaves its environment variables as they are. Finding
/// none is an Error. Does not check that they are open, or that they are sockets.
/// Thread-safety: as getenv(3).
Error find_systemd_sockets(const AddressSpec& spec, std::vector<int>& descriptors);

}  // namespace evio::internal
