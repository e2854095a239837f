#pragma once

#include <memory>
#include <utility>

#include "evio/server.hpp"
#include "internal/server/server_state.hpp"

namespace evio::internal {

/// Makes the handles that users get.
class ServerAccess {
 public:
  static Server handle(std::shared_ptr<ServerState> state) noexcept { return Server(std::move(state)); }
  /// There is no other ServerControl outside tests.
  static Server handle(std::shared_ptr<ServerControl> control) noexcept {
    return Server(std::static_pointer_cast<ServerState>(std::move(control)));
  }
};

}  // namespace evio::internal
