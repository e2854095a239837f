/// What other threads ask of a connection.
#include <new>

#include "evio/detail/share_policy.hpp"
#include "internal/buffer/output_access.hpp"
#include "internal/stream/datagram_stream.hpp"
#include "internal/stream/recent_sends.hpp"
#include "internal/stream/stream_host.hpp"

namespace evio::internal {
// Posts the note that is needed. Where there is no memory for one, the loop looks at all its connections.
bool Stream::notify_loop(Requests::Added added) noexcept {
  if (added == Requests::Added::kMustPost && !post_note(Note::Kind::kRequest)) queue().post(Signal::kSweep);
  return added != Requests::Added::kRefused;
}

bool Stream::post_note(Note::Kind kind) noexcept {
  retain();
  return queue().post({kind, RefPtr<NoteTarget>(this)});
}

bool Stream::wake() { return notify_loop(requests_.wake()); }
bool Stream::close() { return notify_loop(requests_.close()); }

bool Stream::add_request(Request* request) noexcept {
  return request != nullptr && notify_loop(requests_.add(request));
}

// Counted first: the loop may write it, and count that, before this returns.
bool Stream::add_bytes(Request* request, std::size_t bytes) noexcept {
  if (request == nullptr) return false;
  if (!pending_bytes_.reserve(bytes)) [[unlikely]] {
    request->destroy();
    return refuse_send();
  }
  if (notify_loop(requests_.send(request))) [[likely]]
    return true;
  return take_back(bytes);
}

// They were not added. The loop may have seen them pending, though, and held back `drained`: it looks again. Always
// false.
bool Stream::take_back(std::size_t bytes) noexcept {
  pending_bytes_.release(bytes);
  if (!is_closing() && !post_note(Note::Kind::kRequest)) queue().post(Signal::kSweep);
  return false;
}

// max_pending is reached. Always false.
bool Stream::refuse_send() noexcept {
  queue().figures().refused_sends.fetch_add(1, std::memory_order_relaxed);
  return false;
}

bool Stream::send(Bytes bytes) {
  if (bytes.empty()) return !requests_.refuses_output();
  if (on_loop()) return send_here(std::move(bytes));
  const std::size_t size = bytes.size();
  if (size < kShareInRequest) return copy_from_elsewhere(bytes.view());
  BytesAccess::compact(bytes);
  return add_bytes(Request::share(std::move(bytes), queue().blocks()), size);
}

bool Stream::copy_from_elsewhere(std::string_view bytes) noexcept try {
  if (bytes.empty()) return !requests_.refuses_output();
  if (bytes.size() >= kShareInOutput)
    return add_bytes(Request::share(Bytes::copy(bytes), queue().blocks()), bytes.size());
  if (!pending_bytes_.reserve(bytes.size())) [[unlikely]]
    return refuse_send();
  if (notify_loop(RecentSends::send(requests_, bytes, queue().blocks()))) [[likely]]
    return true;
  return take_back(bytes.size());
} catch (const std::bad_alloc&) {
  return false;
}

// To the end of what was taken.
void Stream::append_requests(RequestList list) noexcept {
  if (extras_ != nullptr && !extras_->behind.empty()) return extras_->behind.append(std::move(list));
  requested_.append(std::move(list));
  only_bytes_ = false;
}

// What was behind them follows when all before it is done.
void Stream::bring_up_behind() noexcept {
  if (!requested_.empty()) return;
  requested_ = std::exchange(extras_->behind, {});
  only_bytes_ = false;
}

// In the order of the calls. What is added from here on has a note of its own: a wake gets one data call, however often
// others repeat it.
[[gnu::flatten]] void Stream::on_request() noexcept {
  EVIO_ASSERT(on_loop());
  if (continues_) [[unlikely]] {  // kContinue finds this too; a turn must not do more for more notes
    if (is_unopened()) hold_requests();
    return;
  }
  const bool taken = take_requests();
  serve_requests();
  if (is_open() && take_due_wake()) {
    run(Step::kWake);
    if (!taken) take_requests();  // the wake that was due held back what this note is about
    serve_requests();
  }
  if (!is_open()) return;
  if (requested_.empty() && !wake_due_ && !is_closing()) [[likely]] {
    if (state_.interest != Interest::kRead || (state_.output & kCongested) != 0 || tls_) [[unlikely]]
      finish_requests();  // resume() may have been called, or a send taken back
    return;
  }
  if (!requested_.empty() || !is_closing()) return continue_next_turn();
  request_end(Action::Close);
  finish_requests();
}

void Stream::on_continue() noexcept {
  continues_ = false;
  functions_left_ = kFunctionsAtOnce;  // a loop that shuts down comes here more than once a turn
  functions_turn_ = host_.loop_.turns();
  on_request();
}

void Stream::sweep() noexcept {
  if (is_unopened()) return hold_requests();
  on_continue();
  if (abort_.load(std::memory_order_relaxed) == Abort::kAsked) on_abort();
}

// Writes what the loop has put into the output, as if a callback had returned it.
void Stream::finish_requests() noexcept {
  Step next = Step::kWait;
  try {
    next = transmit_slow();
    if (next == Step::kWait) next = next_step();
  } catch (...) {
    next = out_of_memory();
  }
  run(next);
}

void Stream::send_requested() noexcept {
  if (!is_open()) return;
  if (requested_.is_one() && may_move_request()) state_.output |= kSent;  // it may be written from where it is
  if (has_sent()) return finish_requests();
  Step next = Step::kWait;
  try {
    move_requested_output(host_.out_, kRequestsAtOnce);
    if (host_.out_.empty() && !datagrams_) return;
    next = finish_counted();
  } catch (...) {
    next = out_of_memory();
  }
  run(next);
}

// Sends, and calls functions, in order: up to a wake that is due before them.
void Stream::serve_requests() noexcept {
  send_requested();
  while (is_open() && may_call_function() && may_call_more()) {
    run(Step::kFunction);
    send_requested();
  }
}

// False, and nothing is taken, while a wake that was taken before is still due.
bool Stream::take_requests() noexcept {
  if (wake_due_) return false;
  Requests::Taken taken = requests_.take();
  if (taken.woken) {
    requested_.forget_wakes();  // those that are left were behind an earlier one
    if (extras_ != nullptr) extras_->behind.forget_wakes();
    wakes_forgotten_ = false;
  }
  if (!taken.list.empty()) append_requests(std::move(taken.list));
  wake_due_ = taken.woken;
  return true;
}

// Moves what was sent to the end of `out`: up to the wake that is due or the function that is to be called, if there is
// one, and not more than `most` at once. Throws std::bad_alloc.
void Stream::move_requested_output(Output& out, int most) {
  if (datagrams_) return DatagramStream::of(*this).send_requested(most);
  const bool up_to_wake = wake_due_ && !is_closing();
  BlockPool::Returned returned(queue().blocks());
  requested_.take_while(most, [&](Request& request) {
    if (up_to_wake && request.after_wake) return false;
    if (request.is_copied()) [[likely]] {
      out.append(request.copied());
    } else if (const Bytes* const shared = std::get_if<Bytes>(&request.what)) {
      OutputAccess::share(out, *shared);
    } else {
      return false;
    }
    request.recycle(returned);
    return true;
  });
  bring_up_requests();
}

// What was asked after a wake waits for the data call of that wake, while it may still come.
bool Stream::may_move_request() const noexcept {
  return !requested_.empty() && requested_.front().is_bytes() && !waits_for_wake(requested_.front());
}

bool Stream::may_call_function() const noexcept {
  return !requested_.empty() && !requested_.front().is_bytes() && !waits_for_wake(requested_.front());
}

bool Stream::waits_for_wake(const Request& request) const noexcept {
  return wake_due_ && request.after_wake && !is_closing();
}

// So many a turn, whatever leads to them. A turn that is taken for an old one only calls fewer.
bool Stream::may_call_more() noexcept {
  if (functions_turn_ != host_.loop_.turns()) {
    functions_turn_ = host_.loop_.turns();
    functions_left_ = kFunctionsAtOnce;
  }
  return functions_left_ != 0;
}

// Calls the function that is next, or does what else was asked.
Stream::Step Stream::function() {
  --functions_left_;
  Request* const request = requested_.pop();
  const Request::What what = std::exchange(request->what, Request::Copied());
  request->recycle(queue().blocks());
  bring_up_requests();
  if (const auto* const task = std::get_if<Request::Function>(&what)) {
    // There is none where what was asked before `opened` begins.
    return *task == nullptr ? next_step_slow() : call([&] { return host_.call_task(**task, handle(), "post"); });
  }
  if (const auto* const deadline = std::get_if<Request::Deadline>(&what)) {
    set_deadline(*deadline);
  } else {
    end_output();
  }
  return next_step_slow();
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

// Before a data call: what it returns leaves after what other threads have asked, up to the wake that is due.
void Stream::put_requests_first() noexcept {
  take_requests();
  while (holds_function()) {
    if (may_move_request()) state_.output |= kSent;  // all that is before the function, however much it is
    send_requested();
    if (!is_open() || !may_call_function() || !may_call_more()) return;
    run(Step::kFunction);
    if (!is_open() || is_closing()) return;
  }
  if (may_move_request()) state_.output |= kSent;
}

bool Stream::holds_function() noexcept {
  only_bytes_ = only_bytes_ || !requested_.holds_function();
  return !only_bytes_;
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

}  // namespace evio::internal
