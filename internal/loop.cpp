#include "internal/loop.hpp"

#include <algorithm>

#include "internal/output_access.hpp"

namespace evio::internal {
namespace {

using std::chrono::nanoseconds;

// A producer that never stops must not keep the loop from its sockets.
constexpr std::size_t kNotesPerTurn = 1024;

Connection& connection_of(const Conn& conn) { return static_cast<Connection&>(*PeerAccess::peer(conn)); }

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
  if (queue_->armed() || more_notes_) work_off_notes();
  // A callback may block: sockets that only this loop was woken for are handed over first.
  for (const Ready& r : ready) {
    if (auto* const source = static_cast<Source*>(r.tag); source->kind == Source::Kind::kListener)
      accept(static_cast<Acceptor&>(*source));
  }
  for (const Ready& r : ready) handle(*static_cast<Source*>(r.tag));
  run_timers();
  if (server_.shutting_down() && !stopping_) begin_shutdown();
  bury();
}

void Loop::handle(Source& source) {
  if (source.kind == Source::Kind::kConnection) [[likely]] {
    auto& c = static_cast<Connection&>(source);
    dispatch(c, first_step(c));
  } else if (source.kind == Source::Kind::kDatagrams) {
    read_datagrams(static_cast<DatagramSocket&>(source));
  }
}

void Loop::work_off_notes() {
  queue_->disarm();
  more_notes_ = false;
  for (std::size_t done = 0; !more_notes_;) {
    const std::size_t count = queue_->take(notes_);
    if (count == 0) break;
    const std::span<Note> notes(notes_.data(), count);
    for (std::size_t i = 0; i != count;) i += work_off(notes.subspan(i));
    done += count;
    more_notes_ = done >= kNotesPerTurn;
  }
  if (queue_->lost()) look_around();
}

// Works off the first of them, and with it the sends for the same connection right behind. Returns how many.
std::size_t Loop::work_off(std::span<Note> notes) {
  Note& first = notes.front();
  const Conn conn = std::move(first.conn);
  Connection& c = connection_of(conn);
  const bool open = c.stage() == Connection::Stage::kOpen;
  switch (first.kind) {
    case Note::Kind::kSend: {
      std::size_t count = 1;
      while (count != notes.size() && notes[count].kind == Note::Kind::kSend && notes[count].conn == conn) ++count;
      send_from(c, notes.first(count));
      return count;
    }
    case Note::Kind::kWake:
      if (c.take_wake() && open && !c.closing()) dispatch(c, Step::kWake);
      break;
    case Note::Kind::kClose:
      if (!open) break;
      c.request(Action::Close);
      dispatch(c, c.blocked() ? Step::kWait : Step::kAct);
      break;
    case Note::Kind::kAdopt:
      if (stopping_) break;  // it goes as it came: no one has been told of it
      c.adopt_self(conn);
      dispatch(c, Step::kOpen);
      break;
  }
  return 1;
}

void Loop::send_from(Connection& c, std::span<Note> notes) {
  c.sends_done(static_cast<std::uint32_t>(notes.size()));
  const bool open = c.stage() == Connection::Stage::kOpen;
  for (Note& note : notes) {
    try {
      if (open) out_.append(std::move(note.bytes));
    } catch (const std::bad_alloc&) {
      c.fail(Error(std::make_error_code(std::errc::not_enough_memory)));
      c.request(Action::Close);
    }
    note = Note();
  }
  if (open) dispatch(c, Step::kSettle);
}

// A note was lost for want of memory: what it was about is written on the connection it was for.
void Loop::look_around() {
  for (Connection *c = open_.first(), *next = nullptr; c != nullptr; c = next) {
    next = ConnectionList::next(*c);
    if (c->closing()) {
      c->request(Action::Close);
      dispatch(*c, c->blocked() ? Step::kWait : Step::kAct);
    } else if (c->take_wake()) {
      dispatch(*c, Step::kWake);
    }
  }
}

nanoseconds Loop::time_to_wait() const {
  // A callback's own notes arm the queue without waking the poller.
  if (more_notes_ || queue_->armed()) return nanoseconds(0);
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
  if (next_resume_ <= now) {
    next_resume_ = kNever;
    for (const auto& acceptor : acceptors_) {
      if (acceptor->resume_at <= now) resume(*acceptor);
      next_resume_ = std::min(next_resume_, acceptor->resume_at);
    }
  }
  if (next_tick_ <= now && !stopping_) tick();
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
  for (Connection* c = open_.first(); c != nullptr; c = ConnectionList::next(*c)) c->request(Action::Close);
  // No send is taken any more; those taken before are all in the queue.
  do {
    work_off_notes();
  } while (more_notes_);
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
