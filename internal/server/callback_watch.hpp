#pragma once

#include "evio/events.hpp"

namespace evio::internal {

class ServerControl;

/// Where Events::slow_callback is set: puts a function that measures around each callback, so that a server without it
/// pays nothing. What takes longer is told as a notice of the loop on which it ran.
void watch_callbacks(Events& events, ServerControl& server);

}  // namespace evio::internal
