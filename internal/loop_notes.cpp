#include "internal/loop.hpp"
#include "internal/output_access.hpp"

namespace evio::internal {
namespace {

// A producer that never stops must not keep the loop from its sockets.
constexpr std::size_t kNotesPerTurn = 1024;

bool is_open(const Connection& c) { return c.stage() == Connection::Stage::kOpen; }

}  // namespace

void Loop::work_off_notes() {
  more_notes_ = false;
  // What this loop's own callbacks have posted since the last time.
  own_notes_.swap(queue_->own());
  for (const Note& note : own_notes_) work_off(note);
  own_notes_.clear();
  for (std::size_t done = 0; !more_notes_;) {
    const std::size_t count = queue_->take(notes_);
    if (count == 0) break;
    for (const Note& note : std::span(notes_).first(count)) work_off(note);
    done += count;
    more_notes_ = done >= kNotesPerTurn;
  }
  if (queue_->lost()) look_around();
}

void Loop::work_off(const Note& note) {
  auto& c = static_cast<Connection&>(*note.peer);
  switch (note.kind) {
    case Note::Kind::kMail:
      read_mail(c);
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

// In the order in which it was asked for.
void Loop::read_mail(Connection& c) noexcept {
  for (bool more = true; more;) {
    const Mailbox::Mail mail = c.take_mail();
    more = mail.more;
    if (mail.texts != nullptr) send(c, mail.texts->text);
    if (mail.woken && is_open(c) && !c.closing()) dispatch(c, Step::kWake);
  }
  if (!is_open(c) || !c.closing()) return;
  c.request(Action::Close);
  dispatch(c, Step::kSettle);
}

void Loop::send(Connection& c, Output& text) noexcept {
  if (!is_open(c) || text.empty()) return;
  OutputAccess::swap(out_, text);
  dispatch(c, Step::kSettle);
  OutputAccess::swap(out_, text);
}

// A note was lost for want of memory: what it was about is in the mailbox of the connection it was for.
void Loop::look_around() {
  for (Connection *c = open_.first(), *next = nullptr; c != nullptr; c = next) {
    next = ConnectionList::next(*c);
    if (c->unsent()) dispatch(*c, Step::kSettle);
    read_mail(*c);
  }
}

}  // namespace evio::internal
