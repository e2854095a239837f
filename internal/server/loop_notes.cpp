#include "internal/buffer/output_access.hpp"
#include "internal/loop/loop.hpp"

namespace evio::internal {
namespace {

bool is_open(const Connection& c) { return c.stage() == Connection::Stage::kOpen; }

}  // namespace

// What was there when it looked, and no more: a producer that never stops must not keep the loop from its sockets. True
// when there was something.
bool Loop::work_off_notes() {
  // What this loop's own callbacks have posted since the last time.
  own_notes_.swap(queue_->own());
  const std::size_t count = queue_->take(notes_);
  more_notes_ = count == notes_.size();
  const bool any = count != 0 || !own_notes_.empty();
  for (const Note& note : own_notes_) work_off(note);
  own_notes_.clear();
  for (const Note& note : std::span(notes_).first(count)) work_off(note);
  if (queue_->lost()) look_around();
  return any;
}

void Loop::work_off(const Note& note) {
  auto& c = static_cast<Connection&>(*note.peer);
  switch (note.kind) {
    case Note::Kind::kRequest:
      read_requests(c);
      break;
    case Note::Kind::kFlush:
      if (is_open(c)) dispatch(c, Step::kSettle);
      break;
    case Note::Kind::kAdopt:
      if (server_.shutting_down()) break;  // it goes as it came: no one has been told of it
      c.adopt_self();
      dispatch(c, Step::kOpen);
      break;
  }
  c.release();
}

// In the order in which it was asked for. What comes meanwhile has a note of its own: one data call, however often
// somebody wakes.
void Loop::read_requests(Connection& c) noexcept {
  c.take_requests();
  send_requested(c);
  if (is_open(c) && c.take_due_wake()) {
    dispatch(c, Step::kWake);
    send_requested(c);
  }
  if (!is_open(c) || (c.has_taken_requests() && c.continue_next_turn())) return;
  if (!c.closing()) return;
  c.request(Action::Close);
  dispatch(c, Step::kSettle);
}

void Loop::send_requested(Connection& c) noexcept {
  if (!is_open(c)) return;
  try {
    c.move_requested_output(out_);
  } catch (...) {
    dispatch(c, out_of_memory(c));
    return;
  }
  if (!out_.empty()) dispatch(c, Step::kSettle);
}

// A note was lost for want of memory: what it was about waits at the connection it was for.
void Loop::look_around() {
  for (Connection *c = open_.first(), *next = nullptr; c != nullptr; c = next) {
    next = ConnectionList::next(*c);
    if (c->unsent()) dispatch(*c, Step::kSettle);
    read_requests(*c);
  }
}

}  // namespace evio::internal
