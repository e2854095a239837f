#pragma once

#include <memory>
#include <utility>

#include "evio/server.hpp"

namespace evio::internal {

/// Makes the handles that are passed to `serving`.
class ServerAccess {
 public:
  static Server handle(std::shared_ptr<ServerState> state) noexcept { return Server(std::move(state)); }
};

}  // namespace evio::internal
