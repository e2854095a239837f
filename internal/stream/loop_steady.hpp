#pragma once

#include "internal/base/syscalls.hpp"
#include "internal/buffer/output_access.hpp"
#include "internal/loop/loop.hpp"

/// The steady state of a connection: it reads, a callback answers, the socket takes the answer whole, it waits for
/// more. These few functions are written apart and compiled as one, for a call of each would cost more than what it
/// does; whatever leaves the steady state is a function out of line.
namespace evio::internal {

inline Loop::Step Loop::first_step(Connection& c) noexcept {
  if (c.only_reads() && c.may_read()) [[likely]]
    return Step::kRead;
  return first_step_slowly(c);
}

// What the connection waits for now, or does next.
inline Loop::Step Loop::rest(Connection& c) {
  if (c.only_reads() && !c.blocked()) [[likely]]
    return Step::kWait;
  return rest_slowly(c);
}

// Sends what a callback, or another thread, has produced.
inline Loop::Step Loop::transmit(Connection& c) {
  if (events_.pre_write && !announce()) [[unlikely]]
    return Step::kWait;
  if (!OutputAccess::is_text(out_) || c.blocked()) [[unlikely]]
    return transmit_slowly(c);
  const std::string_view text = OutputAccess::text(out_);
  const ssize_t n = sys::write_once(c.fd(), text.data(), text.size());
  if (n != static_cast<ssize_t>(text.size())) [[unlikely]]
    return keep_rest(c, n);
  OutputAccess::reset_text(out_);
  return Step::kWait;
}

// A callback is done: its output first, then its action.
inline Loop::Step Loop::settle(Connection& c, Action action) {
  Step next = Step::kWait;
  if (!out_.empty()) [[likely]]
    next = transmit(c);
  if (action != Action::None) [[unlikely]]
    heed(c, action);
  return next == Step::kWait ? rest(c) : next;
}

inline Loop::Step Loop::deliver(Connection& c, const Bytes& in) {
  Action action = Action::None;
  if (events_.data) [[likely]] {
    try {
      action = events_.data(c.self(), in, out_);
    } catch (...) {
      return thrown(c);
    }
  }
  return settle(c, action);
}

inline Loop::Step Loop::read(Connection& c) {
  const std::span<char> room = input_.room();
  const ssize_t n = sys::read_once(c.fd(), room.data(), room.size());
  if (n <= 0) [[unlikely]]
    return read_nothing(c, n);
  const Step next = deliver(c, input_.filled(static_cast<std::size_t>(n), c.reuses_input()));
  input_.recycle();
  return next;
}

}  // namespace evio::internal
