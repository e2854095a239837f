#include "internal/net/listener_set.hpp"

namespace evio::internal {

Error ListenerSet::open(std::span<const AddressSpec> specs, GivenSockets& given) {
  for (const AddressSpec& spec : specs) {
    if (auto err = listeners_.emplace_back().open(spec, given.take(spec), num_loops_)) return err;
  }
  return {};
}

void ListenerSet::refuse_newcomers(ListenerCopies& copies) noexcept {
  // On every loop: it is about to close its own datagram sockets, which nobody may be duplicating by then.
  const bool handed_over = copies.end();
  if (refusing_.exchange(true, std::memory_order_relaxed)) return;
  for (Listener& listener : listeners_) listener.refuse_newcomers(handed_over);
}

bool ListenerSet::leave() noexcept {
  // acq_rel: what the other loops did with the sockets comes before they are closed.
  if (loops_.fetch_sub(1, std::memory_order_acq_rel) != 1) return false;
  for (Listener& listener : listeners_) listener.close();
  return true;
}

}  // namespace evio::internal
