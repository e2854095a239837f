/// What the loop's own callbacks ask of a connection outside their output.
#include <new>

#include "evio/detail/share_policy.hpp"
#include "internal/stream/stream_host.hpp"

namespace evio::internal {

[[gnu::flatten]] bool Stream::send_copy(std::string_view bytes) {
  if (!on_loop()) return copy_from_elsewhere(bytes);
  const bool is_short = bytes.size() - 1 < kShareInOutput - 1;  // and not empty
  if (is_short && requests_.open_and_empty(requested_)) [[likely]]
    return add_to_outbox(bytes);
  return copy_here(bytes);
}

// A callback of the loop's own sends: after what other threads have sent before, and before what that callback, or a
// later one, returns. Small texts wait in the host's outbox, unless there are requests that they must follow.
bool Stream::send_here(Bytes bytes) noexcept {
  if (bytes.size() < kShareInRequest) return copy_here(bytes.view());
  if (requests_.refuses_output()) return false;
  BytesAccess::compact(bytes);
  const std::size_t size = bytes.size();
  return add_own_bytes(Request::share(std::move(bytes), queue().blocks()), size);
}

bool Stream::copy_here(std::string_view bytes) noexcept try {
  if (requests_.refuses_output()) return false;
  if (bytes.empty()) return true;
  const bool is_short = bytes.size() < kShareInOutput;
  if (is_short && !has_requests()) return add_to_outbox(bytes);
  return add_own_bytes(
      is_short ? Request::copy(bytes, queue().blocks()) : Request::share(Bytes::copy(bytes), queue().blocks()),
      bytes.size());
} catch (const std::bad_alloc&) {
  return false;
}

bool Stream::add_to_outbox(std::string_view bytes) {
  if (!pending_bytes_.add_within_limit(bytes.size())) [[unlikely]]
    return refuse_send();
  try {
    if (host_.outbox_.empty() && !post_note(Note::Kind::kFlush)) throw std::bad_alloc();
    host_.outbox_.add(*this, sent_, bytes);
  } catch (const std::bad_alloc&) {
    pending_bytes_.remove(bytes.size());
    return false;
  }
  state_.output |= kSent;
  return true;
}

bool Stream::add_own_bytes(Request* request, std::size_t bytes) noexcept {
  if (request == nullptr) return false;
  if (!pending_bytes_.add_within_limit(bytes)) {
    request->destroy();
    return refuse_send();
  }
  RequestList one;
  one.add(request);
  try {
    // It is flushed with the others.
    if (sent_.first == 0 && !is_unopened() && !add_to_outbox({})) throw std::bad_alloc();
    const bool own_callback = in_own_callback();
    take_others(own_callback);
    // Another thread may have ended the output since the caller looked: no bytes may be queued behind that.
    if (requests_.refuses_output()) {
      pending_bytes_.remove(bytes);
      return false;
    }
    if (wake_due_ && !std::exchange(wakes_forgotten_, true)) requested_.forget_wakes();
    if (!own_callback && extras_ != nullptr && !extras_->behind.empty()) {
      extras_->behind.append(std::move(one));
    } else {
      requested_.append(std::move(one));
    }
    return true;
  } catch (const std::bad_alloc&) {
    pending_bytes_.remove(bytes);
    return false;
  }
}

// A function, a deadline or the end of output, which a callback of the loop's own asks for: behind everything else.
bool Stream::add_own(Request* request) noexcept {
  if (request == nullptr) return false;
  RequestList one;
  one.add(request);
  if (is_closing()) return false;
  if (requests_.woken()) take_requests();
  if (requests_.has_requests()) append_requests(requests_.take_requests());
  if (wake_due_) {  // it follows the data call of a wake that was called before it
    request->after_wake = true;
    wakes_forgotten_ = false;
  }
  append_requests(std::move(one));
  continue_next_turn();
  return true;
}

// Takes over what other threads have asked before, as what is sent here follows it. What a callback of this connection
// sends leaves with that callback's output, and so before the functions that are still to be called.
// Throws std::bad_alloc; then nothing is lost, and the order is as it was.
void Stream::take_others(bool own_callback) {
  if (own_callback && holds_function()) {
    StreamExtras& more = extras();  // first: what is split off must have a place
    RequestList rest = requested_.split_at_function();
    rest.append(std::move(more.behind));
    more.behind = std::move(rest);
    only_bytes_ = true;
  }
  if (!requests_.has_requests()) return;
  RequestList others = requests_.take_requests();
  if (wake_due_) others.forget_wakes();
  if (!own_callback || (extras_ != nullptr && !extras_->behind.empty())) return append_requests(std::move(others));
  if (others.holds_function() && !has_extras()) {
    append_requests(std::move(others));
    throw std::bad_alloc();
  }
  RequestList rest = others.split_at_function();
  requested_.append(std::move(others));
  if (!rest.empty()) extras_->behind = std::move(rest);
}

void Stream::on_flush() noexcept {
  if (!host_.flush_outbox() && !post_note(Note::Kind::kFlush)) queue().post(Signal::kSweep);
}

// Unless that has been written with the output of a callback.
[[gnu::flatten]] void Stream::flush(Outbox::Chain chain) noexcept {
  if (sent_.first == chain.first && is_open()) finish_requests();
}

}  // namespace evio::internal
