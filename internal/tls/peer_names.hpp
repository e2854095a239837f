#pragma once

#include "evio/tls.hpp"
#include "internal/tls/openssl.hpp"

namespace evio::internal {

/// What was agreed on in a handshake that is done. All but TlsInfo::server_name, which stays as it is. Throws
/// std::bad_alloc.
void describe_peer(SSL* ssl, TlsInfo& to);

}  // namespace evio::internal
