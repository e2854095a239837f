#include "internal/base/exception_error.hpp"
#include "internal/stream/loop_steady.hpp"

namespace evio::internal {
namespace {

// Discarding goes on at most this long before others get their turn.
constexpr int kDiscardedReads = 64;

bool would_block(int err) { return err == EAGAIN || err == EWOULDBLOCK; }

// "read tcp 127.0.0.1:5000->127.0.0.1:40000: Connection reset by peer", as Go words it.
Error connection_error(const Connection& c, std::string_view call, std::error_code code) {
  return Error(code, std::string(call) + ' ' + c.remote().network() + ' ' + c.local().to_string() + "->" +
                         c.remote().to_string() + ": " + code.message());
}

}  // namespace

Loop::Step Loop::open(Connection& c) {
  c.enter(Connection::Stage::kOpen);
  open_.add(c);
  Action action = Action::None;
  if (events_.opened) {
    Options options;
    try {
      action = events_.opened(c.self(), out_, options);
    } catch (...) {
      return thrown(c);
    }
    c.apply(options);
  }
  return settle(c, action);
}

// read(2) had no bytes to give.
Loop::Step Loop::read_nothing(Connection& c, ssize_t n) {
  if (n < 0 && errno == EINTR) return Step::kRead;
  if (n < 0 && would_block(errno)) return Step::kWait;
  if (n < 0) return lost_contact(c, "read", sys::last_error());
  // The end of the input. What send() has taken goes out before the connection closes, and what a wake brings.
  c.cut_off();
  c.request_end();
  return rest(c);
}

// Output of several pieces, or behind output that waits.
Loop::Step Loop::transmit_slowly(Connection& c) { return transmitted(c, c.transmit(out_)); }

// write(2) has not taken everything.
Loop::Step Loop::keep_rest(Connection& c, ssize_t written) {
  if (written < 0 && errno == EINTR) return transmitted(c, c.transmit(out_));
  return transmitted(c, c.keep_rest(out_, written));
}

Loop::Step Loop::transmitted(Connection& c, Sent sent) {
  const int err = errno;
  OutputAccess::reset(out_);
  if (sent != Sent::kFailed) return Step::kWait;
  c.fail(connection_error(c, "write", {err, std::system_category()}));
  return Step::kSalvage;
}

Loop::Step Loop::first_step_slowly(Connection& c) noexcept {
  switch (c.stage()) {
    case Connection::Stage::kOpen:
      if (c.blocked()) return Step::kWrite;
      if (c.closing()) return Step::kAct;  // close() was called, and its note comes too late
      // What other threads have sent by now, with a note that is still to come, leaves before what `data` answers.
      if (c.has_requested_output()) c.put_requested_output_first();
      return Step::kRead;
    case Connection::Stage::kLingering:
      return Step::kLinger;
    default:
      return Step::kWait;  // gone earlier in this turn
  }
}

Loop::Step Loop::rest_slowly(Connection& c) {
  if (c.blocked()) return c.unsent() ? Step::kWrite : watch(c, Interest::kWrite);
  if (c.action() != Action::None) return Step::kAct;
  return watch(c, Interest::kRead);
}

Loop::Step Loop::watch(Connection& c, Interest interest) {
  if (c.interest() == interest) return Step::kWait;
  const bool known = c.interest() != Interest::kUnregistered;
  Source* const tag = &c;
  const auto code = known ? poller_->modify(c.fd(), interest, tag) : poller_->add(c.fd(), interest, tag);
  if (code) {
    c.fail(connection_error(c, "watch", code));
    return Step::kSalvage;
  }
  c.set_interest(interest);
  return Step::kWait;
}

Loop::Step Loop::lost_contact(Connection& c, const char* call, std::error_code code) {
  c.fail(connection_error(c, call, code));
  c.cut_off();
  return Step::kClose;
}

// An exception left `opened` or `data`: what that call has added is dropped, what was added before is sent.
Loop::Step Loop::thrown(Connection& c) {
  out_.clear();
  c.fail(current_exception_error());
  c.request(Action::Close);
  return rest(c);
}

// Calls pre_write. False when that threw: then the bytes do not leave.
bool Loop::announce() {
  if (!events_.pre_write) return true;
  try {
    events_.pre_write();
    return true;
  } catch (...) {
    out_.clear();
    server_.fail();
    return false;
  }
}

void Loop::heed(Connection& c, Action action) {
  if (action == Action::Shutdown) {
    server_.shut_down();
  } else if (action != Action::None) {
    c.request(action == Action::Detach && !events_.detached ? Action::Close : action);
  }
}

Loop::Step Loop::write(Connection& c) {
  if (c.unsent() && !announce()) {
    c.drop_pending();
    return rest(c);
  }
  switch (c.flush()) {
    case Sent::kBlocked:
      return watch(c, Interest::kWrite);
    case Sent::kAll:
      return rest(c);
    case Sent::kFailed:
      break;
  }
  c.fail(connection_error(c, "write", sys::last_error()));
  return Step::kSalvage;
}

Loop::Step Loop::act(Connection& c) {
  if (c.has_requested_output()) {
    if (c.continues_next_turn()) return Step::kWait;
    c.take_last_requests();
    if (!c.move_requested_output(out_)) c.continue_next_turn();
    return settle(c, Action::None);
  }
  if (c.take_last_wake()) return Step::kWake;
  return c.action() == Action::Detach && !c.has_failed() ? Step::kDetach : Step::kClose;
}

// A write, or the registration, has failed. What the peer had sent before is still delivered; no one is answered. It
// may go on sending, as over a unix socket that it only reads no more: that comes too late.
Loop::Step Loop::salvage(Connection& c) {
  c.drop_pending();
  c.cut_off();
  int left = 0;
  sys::ioctl(c.fd(), FIONREAD, &left);
  while (left > 0 && !c.closing() && !server_.shutting_down()) {
    const std::span<char> room = input_.room();
    const ssize_t n = sys::read(c.fd(), room.data(), std::min(room.size(), static_cast<std::size_t>(left)));
    if (n <= 0) break;
    left -= static_cast<int>(n);
    const Bytes& in = input_.filled(static_cast<std::size_t>(n), c.reuses_input());
    try {
      if (events_.data) heed(c, events_.data(c.self(), in, out_));
    } catch (...) {
      c.request(Action::Close);
    }
    out_.clear();
    input_.recycle();
  }
  return Step::kClose;
}

// The connection is no longer the server's.
void Loop::leave(Connection& c) {
  c.request(Action::Close);
  c.drop_requests();  // after a failure there may be some: it comes too late
  c.enter(Connection::Stage::kGone);
  open_.remove(c);
  balancer_.release(index_);
}

Loop::Step Loop::close(Connection& c) {
  c.drop_pending();
  const bool linger = lingers(c);
  leave(c);
  const Error err = c.take_failure();
  if (events_.closed) guarded([&] { return events_.closed(c.self(), err); });
  c.drop_context();
  if (linger && sys::shutdown(c.fd(), SHUT_WR) == 0) {
    c.enter(Connection::Stage::kLingering);
    c.linger_until(stopping_ ? drain_until_ : Clock::now() + kLinger);
    lingering_.add(c);
    return Step::kLinger;
  }
  if (!c.is_cut_off()) discard_input(c);
  discard(c);
  return Step::kWait;
}

Loop::Step Loop::detach(Connection& c) {
  leave(c);
  if (c.interest() != Interest::kUnregistered) poller_->remove(c.fd());
  sys::fcntl(c.fd(), F_SETFL, sys::fcntl(c.fd(), F_GETFL, 0) & ~O_NONBLOCK);
  DetachedConn socket(c.descriptor().release());
  guarded([&] { return events_.detached(c.self(), std::move(socket)); });
  c.drop_context();
  dead_.add(c);
  return Step::kWait;
}

// True when the peer's end of the stream was met: closing the socket destroys nothing any more.
bool Loop::discard_input(Connection& c) noexcept {
  for (int i = 0; i != kDiscardedReads; ++i) {
    const ssize_t n = sys::read(c.fd(), discarded_.data(), discarded_.size());
    if (n <= 0) return n == 0 || !would_block(errno);
  }
  return false;
}

Loop::Step Loop::linger(Connection& c) {
  if (!discard_input(c) && watch(c, Interest::kRead) == Step::kWait) return Step::kWait;
  lingering_.remove(c);
  discard(c);
  return Step::kWait;
}

// Closes the socket. Removed first: a process forked meanwhile keeps the open file, and with it the registration,
// alive.
void Loop::discard(Connection& c) {
  if (c.interest() != Interest::kUnregistered) poller_->remove(c.fd());
  c.descriptor().close();
  c.enter(Connection::Stage::kGone);
  dead_.add(c);
}

}  // namespace evio::internal
