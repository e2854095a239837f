#include <algorithm>

#include "internal/loop.hpp"
#include "internal/output_access.hpp"

namespace evio::internal {
namespace {

// A producer that never stops must not keep the loop from its sockets.
constexpr std::size_t kNotesPerTurn = 1024;

Connection& connection_of(const Note& note) { return static_cast<Connection&>(*note.peer); }

// The first of them and those behind it that are sends for the same connection.
std::span<Note> run_of_sends(std::span<Note> notes) {
  std::size_t count = 1;
  while (count != notes.size() && notes[count].is_send() && notes[count].peer == notes.front().peer) ++count;
  return notes.first(count);
}

// Adds what they send, and leaves those it did not come to; the bytes, not the holds of the peer, are used up.
void append_sends(Output& out, std::span<Note>& sends) {
  while (!sends.empty()) {
    Note& note = sends.front();
    sends = sends.subspan(1);
    if (note.kind == Note::Kind::kSendText) {
      out.append(std::string_view(note.text, note.text_size));
    } else {
      out.append(note.take_bytes());
    }
  }
}

}  // namespace

void Loop::work_off_notes() {
  queue_->disarm();
  more_notes_ = false;
  // What this loop's own callbacks have posted since the last time.
  own_notes_.swap(queue_->own());
  for (std::span<Note> notes = own_notes_; !notes.empty();) notes = notes.subspan(work_off(notes));
  own_notes_.clear();
  for (std::size_t done = 0; !more_notes_;) {
    const std::size_t count = queue_->take(notes_);
    if (count == 0) break;
    for (std::span<Note> notes = std::span(notes_).first(count); !notes.empty();)
      notes = notes.subspan(work_off(notes));
    done += count;
    more_notes_ = done >= kNotesPerTurn;
  }
  if (queue_->lost()) look_around();
}

// Works off the first of them, and with a send those for the same connection right behind it. Returns how many.
std::size_t Loop::work_off(std::span<Note> notes) {
  const Note& first = notes.front();
  Connection& c = connection_of(first);
  const bool open = c.stage() == Connection::Stage::kOpen;
  if (first.is_send()) {
    const std::span<Note> sends = run_of_sends(notes);
    send(c, sends);
    c.release(static_cast<std::uint32_t>(sends.size()));
    return sends.size();
  }
  switch (first.kind) {
    case Note::Kind::kWake:
      if (!stopping_ && c.take_wake() && open && !c.closing()) dispatch(c, Step::kWake);
      break;
    case Note::Kind::kFlush:
      if (open) dispatch(c, Step::kSettle);
      break;
    case Note::Kind::kClose:
      if (!open) break;
      c.request(Action::Close);
      dispatch(c, c.blocked() ? Step::kWait : Step::kAct);
      break;
    case Note::Kind::kAdopt:
      if (server_.shutting_down()) break;  // it goes as it came: no one has been told of it
      c.adopt_self();
      dispatch(c, Step::kOpen);
      break;
    default:
      break;
  }
  c.release();
  return 1;
}

void Loop::send(Connection& c, std::span<Note> sends) noexcept {
  c.sends_done(static_cast<std::uint32_t>(sends.size()));
  try {
    append_sends(out_, sends);
  } catch (...) {
    for (Note& note : sends) {
      if (note.kind == Note::Kind::kSend) note.take_bytes();
    }
    out_of_memory(c);
    c.request(Action::Close);
  }
  if (c.stage() == Connection::Stage::kOpen) {
    dispatch(c, Step::kSettle);
  } else {
    OutputAccess::reset(out_);
  }
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
    } else if (c->unsent()) {
      dispatch(*c, Step::kSettle);
    }
  }
}

}  // namespace evio::internal
