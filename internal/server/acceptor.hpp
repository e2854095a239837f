#pragma once

#include <chrono>

#include "evio/addr.hpp"
#include "internal/poll/pollable.hpp"

namespace evio::internal {

/// A listening socket as one loop sees it. The listener owns the descriptor.
/// Thread-safety: its loop's thread.
struct Acceptor : Source {
  Acceptor() : Source(Kind::kListener) {}

  int fd = -1;
  int addr_index = 0;
  Addr addr;  // what it is bound to
  bool is_unix = false;
  bool any_address = false;  // bound to the wildcard: a connection's own address differs
  bool shared = false;       // other loops watch it too
  bool kernel_spreads = false;
  // When to try again after the system ran out of something; max() while it is not paused.
  std::chrono::steady_clock::time_point resume_at = std::chrono::steady_clock::time_point::max();
};

}  // namespace evio::internal
