#pragma once

#include <atomic>
#include <span>
#include <vector>

#include "evio/error.hpp"
#include "internal/net/address_spec.hpp"
#include "internal/net/given_sockets.hpp"
#include "internal/net/listener.hpp"
#include "internal/net/listener_copies.hpp"

namespace evio::internal {

/// All addresses that one server listens on. The loops share the sockets, so these are closed by the last loop that
/// watches them; but the first to shut down refuses newcomers for all, so that none waits for a busy loop.
/// Thread-safety: refuse_newcomers() and leave() any thread; the rest the thread that sets the server up.
class ListenerSet {
 public:
  explicit ListenerSet(int loops) noexcept : num_loops_(loops), loops_(loops) {}

  /// Opens all or none. An error names the address.
  Error open(std::span<const AddressSpec> specs, GivenSockets& given);
  std::vector<Listener>& all() noexcept { return listeners_; }

  /// Stops listening, and ends `copies`: connecting fails from now on, also where a forked child has a copy of the
  /// socket, and the paths of unix sockets are free. But given sockets, and all sockets if copies were
  /// made, may go on listening elsewhere. Only the first call does this; `copies` has ended when any call returns.
  void refuse_newcomers(ListenerCopies& copies) noexcept;
  /// Each loop calls this once, when it has stopped watching the sockets. The last call closes them and returns true.
  bool leave() noexcept;

 private:
  const int num_loops_;
  std::vector<Listener> listeners_;
  // relaxed: it only decides who does it, and hands nothing over.
  std::atomic<bool> refusing_{false};
  std::atomic<int> loops_;
};

}  // namespace evio::internal
