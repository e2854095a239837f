#include "internal/net/listener_set.hpp"

namespace evio::internal {

Error ListenerSet::open(std::span<const AddressSpec> specs, int loops) {
  loops_.store(loops, std::memory_order_relaxed);  // the loops are started later
  for (const AddressSpec& spec : specs) {
    if (auto err = listeners_.emplace_back().open(spec, loops)) return err;
  }
  return {};
}

void ListenerSet::refuse_newcomers() noexcept {
  if (refusing_.exchange(true, std::memory_order_relaxed)) return;
  for (Listener& listener : listeners_) listener.refuse_newcomers();
}

void ListenerSet::leave() noexcept {
  // acq_rel: what the other loops did with the sockets comes before they are closed.
  if (loops_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  for (Listener& listener : listeners_) listener.close();
}

}  // namespace evio::internal
