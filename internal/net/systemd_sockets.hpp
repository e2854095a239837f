#pragma once

#include <vector>

#include "evio/error.hpp"
#include "internal/net/address_spec.hpp"

namespace evio::internal {

/// The descriptors that a service manager has passed to this process: all, or those that have the name in `spec`, in
/// their order. It speaks the protocol of sd_listen_fds(3), whose environment variables stay as they are. None at all
/// is an Error. Whether they are open, and are sockets, is not looked at.
/// Thread-safety: as getenv(3).
Error find_systemd_sockets(const AddressSpec& spec, std::vector<int>& descriptors);

}  // namespace evio::internal
