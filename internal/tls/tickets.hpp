#pragma once

#include "internal/tls/openssl.hpp"

namespace evio::internal {

/// Has the sessions of a listener resumed by tickets alone, with the keys of the session's context. That a session may
/// be resumed is checked once more, for what the ticket says of the client.
void use_tickets(SSL_CTX* context);

}  // namespace evio::internal
