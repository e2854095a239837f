/// What other threads ask of a connection, and what its loop's own callbacks send outside their output.
#include <new>

#include "evio/detail/share_policy.hpp"
#include "internal/buffer/output_access.hpp"
#include "internal/stream/stream.hpp"
#include "internal/stream/stream_host.hpp"

namespace evio::internal {
namespace {

// So many are moved before other connections get their turn.
constexpr int kRequestsAtOnce = 1024;

}  // namespace

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
  if (on_loop()) return send_here(&bytes, {});
  if (bytes.empty()) return !is_closing();
  if (bytes.size() < kShareInRequest) return add_request(Request::copy(bytes.view(), queue().blocks()));
  return add_request(Request::share(std::move(bytes), queue().blocks()));
}

bool Stream::send_copy(std::string_view bytes) try {
  if (on_loop()) return send_here(nullptr, bytes);
  if (bytes.empty()) return !is_closing();
  if (bytes.size() < kShareInOutput) return add_request(Request::copy(bytes, queue().blocks()));
  return add_request(Request::share(Bytes::copy(bytes), queue().blocks()));
} catch (const std::bad_alloc&) {
  return false;
}

// In a callback of the loop's own: straight to the end of what is pending, so that it leaves before what that callback,
// or a later one, returns; and after what other threads have sent before.
bool Stream::send_here(const Bytes* bytes, std::string_view copy) noexcept {
  if (is_closing() || output_lost_) return false;
  try {
    if (!unflushed_ && !post_note(Note::Kind::kFlush)) return false;
    OutputQueue& output = pending();
    unflushed_ = true;
    if (has_requested_output() && !fetch_requested_output()) return false;
    if (bytes != nullptr) {
      output.add(*bytes);
    } else {
      output.add_copy(copy);
    }
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void Stream::on_flush() noexcept {
  if (is_open()) finish_requests();
}

// In the order of the calls. What is added from here on has a note of its own: a wake gets one data call, however often
// others repeat it.
void Stream::on_request() noexcept {
  EVIO_ASSERT(on_loop());
  take_requests();
  send_requested();
  if (is_open() && take_due_wake()) {
    run(Step::kWake);
    send_requested();
  }
  if (!is_open() || (!requested_.empty() && continue_next_turn())) return;
  if (!is_closing()) return;
  request_end(Action::Close);
  finish_requests();
}

void Stream::sweep() noexcept {
  if (unflushed_) finish_requests();
  on_request();
}

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
  try {
    move_requested_output(host_.out_);
  } catch (...) {
    return run(out_of_memory());
  }
  if (!host_.out_.empty()) finish_requests();
}

// Unless some of those taken before are left.
void Stream::take_requests() noexcept {
  continues_ = false;
  if (!requested_.empty() || wake_due_) return;
  Requests::Taken taken = requests_.take();
  requested_ = std::move(taken.list);
  wake_due_ = taken.woken;
}

// Moves what other threads sent to the end of `out`: up to the wake that is due, if there is one, and not too much at
// once. True when all is moved. Throws std::bad_alloc.
bool Stream::move_requested_output(Output& out) {
  const bool up_to_wake = wake_due_ && !is_closing();
  BlockPool::Returned returned(queue().blocks());
  for (int left = kRequestsAtOnce; left != 0 && !requested_.empty(); --left) {
    Request& request = requested_.front();
    if (up_to_wake && request.after_wake) break;
    if (request.shared.empty()) [[likely]] {
      out.append(request.bytes());
    } else {
      OutputAccess::share(out, request.shared);
    }
    requested_.pop()->recycle(returned);
  }
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

// The loop looks at the requests again on its next turn. False when there is no memory for the note.
bool Stream::continue_next_turn() noexcept {
  continues_ = continues_ || post_note(Note::Kind::kRequest);
  return continues_;
}

// Before a data call: what it returns leaves after what other threads have sent, up to the wake that is due.
void Stream::put_requested_output_first() noexcept {
  if (!wake_due_) {
    Requests::Taken taken = requests_.take();
    requested_.append(std::move(taken.list));
    wake_due_ = taken.woken;
  }
  if (!may_move_request()) return;
  try {
    pending();
  } catch (const std::bad_alloc&) {
    return;  // they go when their note comes: late, but not lost
  }
  unflushed_ = true;
  BlockPool::Returned returned(queue().blocks());
  while (!output_lost_ && may_move_request()) queue_request(returned);
}

// All of it, also what was sent after a wake. False when there is no memory for that.
bool Stream::fetch_requested_output() noexcept {
  requested_.append(requests_.take_output());
  BlockPool::Returned returned(queue().blocks());
  while (!output_lost_ && !requested_.empty()) queue_request(returned);
  return !output_lost_;
}

// Other threads were told that it is sent: if there is no memory for it, nothing may leave any more.
void Stream::queue_request(BlockPool::Returned& returned) noexcept {
  const Request& request = requested_.front();
  try {
    if (request.shared.empty()) {
      pending_->add_copy(request.bytes());
    } else {
      pending_->add(request.shared);
    }
    requested_.pop()->recycle(returned);
  } catch (const std::bad_alloc&) {
    output_lost_ = true;
  }
}

void Stream::drop_requests() noexcept {
  requested_.recycle(queue().blocks());
  requests_.take_output().recycle(queue().blocks());
}

void Stream::set_context(std::unique_ptr<Context> value) {
  if (state_.stage > Stage::kOpen) return;
  context().swap(value);  // the previous one is destroyed last: its destructor may look at the connection
}

}  // namespace evio::internal
