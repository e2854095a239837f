#include <algorithm>

#include "internal/loop/loop.hpp"

namespace evio::internal {
namespace {

using std::chrono::nanoseconds;

// The kernel tells no one that a peer has acknowledged everything: how often a loop that shuts down looks.
constexpr std::chrono::milliseconds kLook{10};

}  // namespace

void Loop::begin_shutdown() {
  stopping_ = true;
  const Clock::time_point now = Clock::now();
  const nanoseconds drain = std::max(nanoseconds(0), events_.drain_timeout);
  drain_until_ = drain < kNever - now ? now + drain : kNever;
  stop_listening();
  // No send is taken any more; those taken before are all in the queue.
  for (Connection* c = open_.first(); c != nullptr; c = ConnectionList::next(*c)) c->request_end();
  while (work_off_notes()) {
  }
  for (Connection *c = open_.first(), *next = nullptr; c != nullptr; c = next) {
    next = ConnectionList::next(*c);
    dispatch(*c, !c->blocked() ? Step::kAct : c->take_last_wake() ? Step::kWake : Step::kWait);
  }
  let_go_of_acknowledged(now);
}

// Newcomers are refused at once, by whichever loop comes here first; the last one closes the sockets.
void Loop::stop_listening() {
  next_tick_ = next_resume_ = kNever;
  listeners_.refuse_newcomers();
  for (const auto& acceptor : acceptors_) {
    if (acceptor->resume_at == kNever) poller_->remove(acceptor->fd);
    acceptor->resume_at = kNever;
  }
  listeners_.leave();
  for (const auto& socket : datagrams_) {
    if (!socket->blocked()) retire(*socket);
  }
}

bool Loop::ended() {
  if (!stopping_) return false;
  const bool answering = std::ranges::any_of(datagrams_, [](const auto& socket) { return socket->blocked(); });
  return (open_.empty() && lingering_.empty() && !answering) || drain_until_ <= Clock::now();
}

// The time to drain is over: what is left is closed as it is.
void Loop::end() {
  while (!open_.empty()) {
    Connection& c = *open_.first();
    c.drop_pending();
    c.cut_off();
    dispatch(c, Step::kClose);
  }
  while (!lingering_.empty()) let_go(*lingering_.first());
  bury();
}

// How much of the output the kernel still holds, since the peer has not acknowledged it (tcp(7): SIOCOUTQ). What a unix
// socket has taken is with its peer already.
int Loop::unacknowledged(const Connection& c) {
  int bytes = 0;
  return c.remote().network() == "tcp" && sys::ioctl(c.fd(), SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

// When the server shuts down, only what is still on its way makes a connection wait.
bool Loop::lingers(const Connection& c) const {
  if (c.is_cut_off()) return false;
  return !stopping_ || (events_.drain_timeout.count() > 0 && unacknowledged(c) != 0);
}

// Those whose second is over. As long as the peer has not acknowledged everything, and goes on acknowledging, the
// connection gets another one: closing it now could destroy what the peer has not received yet.
void Loop::look_at_lingering(Clock::time_point now) {
  while (!lingering_.empty() && lingering_.first()->linger_until() <= now) {
    Connection& c = *lingering_.first();
    const int left = stopping_ ? 0 : unacknowledged(c);
    if (left == 0) {
      let_go(c);
    } else if (c.makes_no_progress(left)) {
      sys::reset_on_close(c.fd());
      let_go(c);
    } else {
      lingering_.remove(c);
      c.linger_until(now + kLinger);
      lingering_.add(c);
    }
  }
}

void Loop::let_go(Connection& c) {
  lingering_.remove(c);
  discard_input(c);
  discard(c);
}

void Loop::let_go_of_acknowledged(Clock::time_point now) {
  for (Connection *c = lingering_.first(), *next = nullptr; c != nullptr; c = next) {
    next = ConnectionList::next(*c);
    if (unacknowledged(*c) == 0) let_go(*c);
  }
  next_look_ = now + kLook;
}

}  // namespace evio::internal
