#pragma once

#include <evio/evio.hpp>

namespace redis {

/// The server: PING ECHO SET GET DEL FLUSHDB WAKE QUIT SHUTDOWN over one store. It answers commands in order, also when
/// several arrive at once, but no further than the client reads the answers: see examples::Pipeline. It answers
/// malformed input with redis-server's protocol error, and closes the connection.
evio::Events events();

}  // namespace redis
