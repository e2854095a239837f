#include "internal/loop.hpp"

#include <algorithm>

#include "internal/output_access.hpp"

namespace evio::internal {
namespace {

using std::chrono::nanoseconds;

}  // namespace

Loop::Loop(int index, std::unique_ptr<Poller> poller, const Events& events, ServerState& server, Balancer& balancer)
    : events_(events),
      server_(server),
      balancer_(balancer),
      index_(index),
      poller_(std::move(poller)),
      queue_(new NoteQueue(index, *poller_)),
      random_(static_cast<std::minstd_rand::result_type>(Clock::now().time_since_epoch().count() + 7919 * index)) {
  accepted_.reserve(64);
}

Loop::~Loop() { queue_->close(); }

void Loop::run() {
  const NoteQueue::OnThisThread here(*queue_);
  if (index_ == 0 && events_.tick) tick();
  while (!ended()) turn();
  end();
}

void Loop::turn() {
  const std::span<const Ready> ready = poller_->wait(time_to_wait());
  if (server_.shutting_down() && !stopping_) begin_shutdown();
  accept_from(ready);
  // Before the sockets: what was sent before a peer's next request leaves before the answer to it.
  if (queue_->armed() || more_notes_ || !queue_->own().empty()) work_off_notes();
  serve(ready);
  run_timers();
  bury();
}

nanoseconds Loop::time_to_wait() const {
  if (more_notes_ || !queue_->own().empty()) return nanoseconds(0);
  Clock::time_point until = std::min({next_tick_, next_resume_, drain_until_});
  if (!lingering_.empty()) until = std::min(until, lingering_.first()->linger_until());
  if (until == kNever) return nanoseconds(-1);
  return std::max(nanoseconds(0), nanoseconds(until - Clock::now()));
}

void Loop::run_timers() {
  if (next_tick_ == kNever && next_resume_ == kNever && lingering_.empty()) return;
  const Clock::time_point now = Clock::now();
  while (!lingering_.empty() && lingering_.first()->linger_until() <= now) {
    Connection& c = *lingering_.first();
    lingering_.remove(c);
    discard(c);
  }
  if (next_resume_ <= now) resume_all(now);
  if (next_tick_ <= now && !server_.shutting_down()) tick();
}

void Loop::resume_all(Clock::time_point now) {
  next_resume_ = kNever;
  for (const auto& acceptor : acceptors_) {
    if (acceptor->resume_at <= now) resume(*acceptor);
    next_resume_ = std::min(next_resume_, acceptor->resume_at);
  }
  for (const auto& socket : datagrams_) {
    if (socket->resume_at <= now) {
      socket->resume_at = kNever;
      watch(*socket);
    }
    next_resume_ = std::min(next_resume_, socket->resume_at);
  }
}

void Loop::tick() {
  nanoseconds delay{0};
  guarded([&] { return events_.tick(delay); });
  const Clock::time_point now = Clock::now();
  // A delay beyond the end of time is no tick at all.
  next_tick_ = delay < kNever - now ? now + std::max(delay, nanoseconds(0)) : kNever;
}

void Loop::begin_shutdown() {
  stopping_ = true;
  next_tick_ = next_resume_ = kNever;
  const Clock::time_point now = Clock::now();
  const nanoseconds drain = std::max(nanoseconds(0), events_.drain_timeout);
  drain_until_ = drain < kNever - now ? now + drain : kNever;
  for (const auto& acceptor : acceptors_) {
    if (acceptor->resume_at == kNever) poller_->remove(acceptor->fd);
    acceptor->resume_at = kNever;
  }
  for (const auto& socket : datagrams_) {
    if (!socket->blocked()) poller_->remove(socket->fd());
  }
  for (Connection *c = open_.first(), *next = nullptr; c != nullptr; c = next) {
    next = ConnectionList::next(*c);
    // A wake() from before the shutdown still has its data call.
    if (!c->closing() && c->take_wake()) dispatch(*c, Step::kWake);
    c->request(Action::Close);
  }
  // No send is taken any more; those taken before are all in the queue.
  do {
    work_off_notes();
  } while (more_notes_ || !queue_->own().empty());
  for (Connection *c = open_.first(), *next = nullptr; c != nullptr; c = next) {
    next = ConnectionList::next(*c);
    dispatch(*c, c->blocked() ? Step::kWait : Step::kAct);
  }
  for (Connection *c = lingering_.first(), *next = nullptr; c != nullptr; c = next) {
    next = ConnectionList::next(*c);
    if (drain.count() > 0 && has_unacknowledged(*c)) continue;
    lingering_.remove(*c);
    discard(*c);
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
  while (!lingering_.empty()) {
    Connection& c = *lingering_.first();
    lingering_.remove(c);
    discard(c);
  }
  bury();
}

void Loop::bury() {
  while (!dead_.empty()) {
    Connection& c = *dead_.first();
    dead_.remove(c);
    c.drop_self();
  }
}

}  // namespace evio::internal
