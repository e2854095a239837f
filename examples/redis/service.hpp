#pragma once

#include <evio/evio.hpp>

namespace redis {

/// The server: PING ECHO SET GET DEL FLUSHDB WAKE QUIT SHUTDOWN over one store, answered in order, however many came
/// at once. What is no command is answered with redis-server's protocol error, and the connection closed.
evio::Events events();

}  // namespace redis
