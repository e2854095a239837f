#pragma once

#include <atomic>
#include <span>
#include <vector>

#include "evio/error.hpp"
#include "internal/net/address_spec.hpp"
#include "internal/net/listener.hpp"

namespace evio::internal {

/// All addresses that one server listens on. The loops share the sockets, so these are closed by the last loop that
/// watches them; but the first to shut down refuses newcomers for all, so that none waits for a busy loop.
/// Thread-safety: refuse_newcomers() and leave() any thread; the rest the thread that sets the server up.
class ListenerSet {
 public:
  /// Opens all or none. An error names the address.
  Error open(std::span<const AddressSpec> specs, int loops);
  std::vector<Listener>& all() noexcept { return listeners_; }

  /// Stops listening: connecting fails from now on, also where a forked child has a copy of the socket, and the paths
  /// of unix sockets are free. Does nothing when that is done already.
  void refuse_newcomers() noexcept;
  /// A loop has stopped watching the sockets; it says so once. The last one closes them.
  void leave() noexcept;

 private:
  std::vector<Listener> listeners_;
  // relaxed: it only decides who does it, and hands nothing over.
  std::atomic<bool> refusing_{false};
  std::atomic<int> loops_{0};
};

}  // namespace evio::internal
