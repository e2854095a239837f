#pragma once

#include "evio/events.hpp"

namespace evio::internal {

class ServerState;

/// Where Events::slow_callback is set: puts a function that measures around each callback of a loop, so that a server
/// without it pays nothing. What takes longer is told as a notice of the loop on which it ran. Functions that are
/// posted are measured where they are called.
void watch_callbacks(Events& events, ServerState& server);

}  // namespace evio::internal
