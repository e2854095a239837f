#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "evio/addr.hpp"

namespace evio::test {

/// Very many clients in a process of their own, so that they and the server do not share one limit of descriptors.
///
/// Each connects, and when the last one has, each sends `bytes` in pieces, the next one when the last one is back, and
/// compares every byte; no two send the same. All stay connected until the last one is done.
struct Crowd {
  std::size_t clients = 0;
  std::size_t bytes = 0;
};

/// Raises the limit of open descriptors as far as it may be raised, and returns what it is then.
std::size_t raise_descriptor_limit();

/// Starts this very program once more, as the crowd. Its main() must call run_crowd(). -1 when it cannot be started.
pid_t start_crowd(const Addr& server, const Crowd& crowd);
/// Waits for its end. True when every client got back what it sent; what went wrong is on standard error.
bool crowd_succeeded(pid_t crowd);
/// When this process was started as a crowd: is it, and returns what main() is to return; otherwise -1.
int run_crowd(int argc, char** argv);

}  // namespace evio::test
