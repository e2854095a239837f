#include "internal/loop/loop.hpp"

#include <algorithm>

#include "internal/buffer/output_access.hpp"

namespace evio::internal {
namespace {

using std::chrono::nanoseconds;

}  // namespace

Loop::Loop(int index, std::unique_ptr<Poller> poller, const Events& events, ServerState& server, ListenerSet& listeners,
           Balancer& balancer)
    : events_(events),
      server_(server),
      listeners_(listeners),
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
  // Notes that came meanwhile are for the next turn, behind its accepts: a callback may block.
  if (queue_->armed() && !must_go_on()) more_notes_ = !queue_->rest();
  bury();
}

// True when there is more to do at once: notes, or a shutdown that came after this turn had looked for it.
bool Loop::must_go_on() const noexcept {
  return more_notes_ || !queue_->own().empty() || (server_.shutting_down() && !stopping_);
}

nanoseconds Loop::time_to_wait() const {
  if (must_go_on()) return nanoseconds(0);
  Clock::time_point until = std::min({next_tick_, next_resume_, drain_until_});
  if (!lingering_.empty()) until = std::min(until, stopping_ ? next_look_ : lingering_.first()->linger_until());
  if (until == kNever) return nanoseconds(-1);
  return std::max(nanoseconds(0), nanoseconds(until - Clock::now()));
}

void Loop::run_timers() {
  if (next_tick_ == kNever && next_resume_ == kNever && lingering_.empty()) return;
  const Clock::time_point now = Clock::now();
  look_at_lingering(now);
  if (stopping_ && next_look_ <= now) let_go_of_acknowledged(now);
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

void Loop::bury() {
  while (!dead_.empty()) {
    Connection& c = *dead_.first();
    dead_.remove(c);
    c.drop_self();
  }
}

}  // namespace evio::internal
