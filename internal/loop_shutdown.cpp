#include <algorithm>

#include "internal/loop.hpp"

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
  do {
    work_off_notes();
  } while (more_notes_ || !queue_->own().empty());
  for (Connection *c = open_.first(), *next = nullptr; c != nullptr; c = next) {
    next = ConnectionList::next(*c);
    dispatch(*c, !c->blocked() ? Step::kAct : c->take_last_wake() ? Step::kWake : Step::kWait);
  }
  let_go_of_acknowledged(now);
}

void Loop::stop_listening() {
  next_tick_ = next_resume_ = kNever;
  for (const auto& acceptor : acceptors_) {
    if (acceptor->resume_at == kNever) poller_->remove(acceptor->fd);
    acceptor->resume_at = kNever;
  }
  for (const auto& socket : datagrams_) {
    if (!socket->blocked()) poller_->remove(socket->fd());
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

// True while the kernel still holds output that the peer has not acknowledged (tcp(7): SIOCOUTQ). What a unix socket
// has taken is with its peer already.
bool Loop::has_unacknowledged(const Connection& c) {
  int bytes = 0;
  return c.remote().network() == "tcp" && sys::ioctl(c.fd(), SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

// When the server shuts down, only what is still on its way makes a connection wait.
bool Loop::lingers(const Connection& c) const {
  if (c.is_cut_off()) return false;
  return !stopping_ || (events_.drain_timeout.count() > 0 && has_unacknowledged(c));
}

void Loop::let_go(Connection& c) {
  lingering_.remove(c);
  discard_input(c);
  discard(c);
}

void Loop::let_go_of_acknowledged(Clock::time_point now) {
  for (Connection *c = lingering_.first(), *next = nullptr; c != nullptr; c = next) {
    next = ConnectionList::next(*c);
    if (!has_unacknowledged(*c)) let_go(*c);
  }
  next_look_ = now + kLook;
}

}  // namespace evio::internal
