/// What other threads ask of a connection, and what its loop's own callbacks send outside their output.
#include <new>

#include "evio/detail/share_policy.hpp"
#include "internal/buffer/output_access.hpp"
#include "internal/stream/stream.hpp"
#include "internal/stream/stream_host.hpp"

namespace evio::internal {
// Posts the note that is needed. Where there is no memory for one, the loop looks at all its connections.
bool Stream::notify_loop(Requests::Added added) noexcept {
  if (added == Requests::Added::kMustPost && !post_note(Note::Kind::kRequest)) queue().post(Signal::kSweep);
  return added != Requests::Added::kClosed;
}

bool Stream::post_note(Note::Kind kind) noexcept {
  retain();
  return queue().post({kind, RefPtr<NoteTarget>(this)});
}

bool Stream::wake() { return notify_loop(requests_.wake()); }
bool Stream::close() { return notify_loop(requests_.close()); }

bool Stream::add_request(Request* request) noexcept {
  return request != nullptr && notify_loop(requests_.send(request));
}

bool Stream::send(Bytes bytes) {
  if (bytes.empty()) return !is_closing();
  if (on_loop()) return send_here(std::move(bytes));
  if (bytes.size() < kShareInRequest) return add_request(Request::copy(bytes.view(), queue().blocks()));
  return add_request(Request::share(std::move(bytes), queue().blocks()));
}

[[gnu::flatten]] bool Stream::send_copy(std::string_view bytes) try {
  if (bytes.empty()) return !is_closing();
  if (on_loop()) return copy_here(bytes);
  if (bytes.size() < kShareInOutput) return add_request(Request::copy(bytes, queue().blocks()));
  return add_request(Request::share(Bytes::copy(bytes), queue().blocks()));
} catch (const std::bad_alloc&) {
  return false;
}

// A callback of the loop's own sends: after what other threads have sent before, and before what that callback, or a
// later one, returns. Small texts wait in the host's outbox, unless there are requests that they must follow.
bool Stream::send_here(Bytes bytes) noexcept {
  if (bytes.size() < kShareInRequest) return copy_here(bytes.view());
  if (is_closing()) return false;
  BytesAccess::compact(bytes);
  return add_behind_requests(Request::share(std::move(bytes), queue().blocks()));
}

bool Stream::copy_here(std::string_view bytes) noexcept try {
  const bool is_short = bytes.size() < kShareInOutput;
  if (is_short && requests_.open_and_empty(requested_)) [[likely]]
    return add_to_outbox(bytes);
  if (is_closing()) return false;
  if (!is_short) return add_behind_requests(Request::share(Bytes::copy(bytes), queue().blocks()));
  return add_behind_requests(Request::copy(bytes, queue().blocks()));
} catch (const std::bad_alloc&) {
  return false;
}

bool Stream::add_to_outbox(std::string_view bytes) {
  if (host_.outbox_.empty() && !post_note(Note::Kind::kFlush)) return false;
  host_.outbox_.add(*this, sent_, bytes);
  state_.output |= kSent;
  return true;
}

bool Stream::add_behind_requests(Request* request) noexcept try {
  if (request == nullptr) return false;
  RequestList one;
  one.add(request);
  if (sent_.first == 0 && !add_to_outbox({})) return false;  // it is flushed with the others
  if (wake_due_ && !std::exchange(wakes_forgotten_, true)) requested_.forget_wakes();
  if (requests_.has_output()) {
    RequestList others = requests_.take_output();
    if (wake_due_) others.forget_wakes();
    requested_.append(std::move(others));
  }
  requested_.append(std::move(one));
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

void Stream::on_flush() noexcept {
  if (!host_.flush_outbox() && !post_note(Note::Kind::kFlush)) queue().post(Signal::kSweep);
}

// Unless that has been written with the output of a callback.
[[gnu::flatten]] void Stream::flush(Outbox::Chain chain) noexcept {
  if (sent_.first == chain.first && is_open()) finish_requests();
}

// In the order of the calls. What is added from here on has a note of its own: a wake gets one data call, however often
// others repeat it.
[[gnu::flatten]] void Stream::on_request() noexcept {
  EVIO_ASSERT(on_loop());
  if (continues_) return;  // kContinue finds this too; a turn must not do more for more notes
  const bool taken = take_requests();
  send_requested();
  if (is_open() && take_due_wake()) {
    run(Step::kWake);
    if (!taken) take_requests();  // the wake that was due held back what this note is about
    send_requested();
  }
  if (!is_open()) return;
  if (requested_.empty() && !wake_due_ && !is_closing()) [[likely]]
    return;
  if (!requested_.empty() || !is_closing()) return continue_next_turn();
  request_end(Action::Close);
  finish_requests();
}

void Stream::on_continue() noexcept {
  continues_ = false;
  on_request();
}

void Stream::sweep() noexcept { on_continue(); }

// Writes what the loop has put into the output, as if a callback had returned it.
void Stream::finish_requests() noexcept {
  Step next = Step::kWait;
  try {
    next = finish_callback(host_, Action::None);
  } catch (...) {
    next = out_of_memory();
  }
  run(next);
}

void Stream::send_requested() noexcept {
  if (!is_open()) return;
  if (requested_.is_one() && may_move_request()) state_.output |= kSent;  // it may be written from where it is
  try {
    if (!has_sent()) move_requested_output(host_.out_, kRequestsAtOnce);
  } catch (...) {
    return run(out_of_memory());
  }
  if (has_sent() || !host_.out_.empty()) finish_requests();
}

// False, and nothing is taken, while a wake that was taken before is still due.
bool Stream::take_requests() noexcept {
  if (wake_due_) return false;
  Requests::Taken taken = requests_.take();
  if (taken.woken) {
    requested_.forget_wakes();  // those that are left were behind an earlier one
    wakes_forgotten_ = false;
  }
  requested_.append(std::move(taken.list));
  wake_due_ = taken.woken;
  return true;
}

// Moves what was sent to the end of `out`: up to the wake that is due, if there is one, and not more than `most` at
// once. True when all is moved. Throws std::bad_alloc.
bool Stream::move_requested_output(Output& out, int most) {
  const bool up_to_wake = wake_due_ && !is_closing();
  BlockPool::Returned returned(queue().blocks());
  requested_.take_while(most, [&](Request& request) {
    if (up_to_wake && request.after_wake) return false;
    if (request.shared.empty()) [[likely]] {
      out.append(request.copied());
    } else {
      OutputAccess::share(out, request.shared);
    }
    request.recycle(returned);
    return true;
  });
  return requested_.empty();
}

// What was sent after a wake waits for the data call of that wake, while it may still come.
bool Stream::may_move_request() const noexcept {
  return !requested_.empty() && !(wake_due_ && requested_.front().after_wake && !is_closing());
}

// True, once, when data is to be called for a wake that was taken.
bool Stream::take_due_wake() noexcept {
  const bool now = wake_due_ && !is_closing() && (requested_.empty() || requested_.front().after_wake);
  if (now) wake_due_ = false;
  return now;
}

// True, once, when a wake came before end_of_input(), and nothing had closed the connection before that.
bool Stream::take_last_wake() noexcept {
  return std::exchange(final_wake_, false) && (std::exchange(wake_due_, false) || requests_.take_wake());
}

// The loop looks at the requests again on its next turn.
void Stream::continue_next_turn() noexcept {
  if (!std::exchange(continues_, true) && !post_note(Note::Kind::kContinue)) queue().post(Signal::kSweep);
}

// Before a data call: what it returns leaves after what other threads have sent, up to the wake that is due.
void Stream::put_requested_output_first() noexcept {
  take_requests();
  if (may_move_request()) state_.output |= kSent;
}

// Moves what was sent to the head of the callback's output. Throws std::bad_alloc.
void Stream::put_sent_first() {
  Output& out = host_.out_;
  Output& sent = host_.sent_;
  host_.outbox_.for_each(std::exchange(sent_, {}), [&](std::string_view text) { sent.append(text); });
  state_.output &= static_cast<std::uint8_t>(~kSent);
  move_requested_output(sent, kAllRequests);
  OutputAccess::append(sent, out);
  OutputAccess::swap(sent, out);
  sent.clear();
}

void Stream::drop_requests() noexcept {
  if (requests_.has_output()) requested_.append(requests_.take_output());
  if (!requested_.empty()) requested_.recycle(queue().blocks());
}

void Stream::set_context(std::unique_ptr<Context> value) {
  if (state_.stage > Stage::kOpen) return;
  context().swap(value);  // the previous one is destroyed last: its destructor may look at the connection
}

}  // namespace evio::internal
