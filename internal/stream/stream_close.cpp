/// The end of a connection: the action that asks for it, `closed` or `detached`, and the time in which a closed socket
/// still discards what arrives.
#include "internal/stream/stream.hpp"
#include "internal/stream/stream_host.hpp"

namespace evio::internal {
namespace {

// Discarding goes on at most for so many reads before others get their turn.
constexpr int kDiscardedReads = 64;

}  // namespace

// In the order of the enumerators, and never back.
void Stream::enter(Stage stage) noexcept {
  EVIO_ASSERT(stage > state_.stage);
  state_.stage = stage;
}

void Stream::record(Action action) noexcept {
  if (action == Action::Shutdown) {
    host_.server_.shut_down();
  } else if (action == Action::Detach && tls_ && host_.events_.detached) {
    refuse_detach();
  } else if (action != Action::None) {
    request_end(action == Action::Detach && (datagrams_ || !host_.events_.detached) ? Action::Close : action);
  }
}

// Asks for Close or Detach; the first one stays.
void Stream::request_end(Action action) noexcept {
  if (requested_action() != Action::None) return;
  state_.action = static_cast<std::uint8_t>(action);
  requests_.refuse();
}

// Asks for Close because the peer, or the server, has come to its end.
void Stream::end_of_input() noexcept {
  // The peer's end may have come, and its wake be waiting, when the server's does.
  final_wake_ = final_wake_ || !is_closing();
  request_end(Action::Close);
}

void Stream::finish() noexcept {
  if (!has_pending()) return run(Step::kAction);
  if (take_last_wake()) return run(Step::kWake);
  run(Step::kWrite);  // from now on it is watched as a connection that closes
}

void Stream::abandon() noexcept {
  drop_pending();
  peer_gone_ = true;
  run(Step::kClose);
}

// The first failure stays.
void Stream::fail(Error err) noexcept {
  if (!has_failed()) set_failure(std::move(err));
}

void Stream::set_failure(Error err) noexcept {
  if (has_extras()) extras_->failure.reset(new (std::nothrow) Error(std::move(err)));
}

Error Stream::take_failure() noexcept {
  if (!has_failed()) return {};
  Error err = std::move(*extras_->failure);
  extras_->failure.reset();
  return err;
}

// The connection is no longer the server's.
void Stream::unlink() {
  EVIO_ASSERT(is_open());
  request_end(Action::Close);
  if (has_requests()) drop_requests();  // a failed connection may have some left
  host_.open_.remove(*this);
  host_.figures_.closed.add(1);
}

void Stream::drop_requests() noexcept {
  if (requests_.has_requests()) append_requests(requests_.take_requests());
  if (extras_ != nullptr) requested_.append(std::exchange(extras_->behind, {}));
  requested_.recycle(queue().blocks());
}

// When the server shuts down, only what is still in flight makes a connection linger.
bool Stream::lingers() const noexcept {
  if (peer_gone_) return false;
  return !host_.loop_.stopping() || (host_.events_.drain_timeout.count() > 0 && unacknowledged() != 0);
}

// How much of the output the kernel still holds, as the peer has not acknowledged it.
int Stream::unacknowledged() const noexcept { return is_unix() ? 0 : transport_.unacknowledged(); }

// Nothing more leaves, and the peer is told so.
Stream::Step Stream::reset() {
  drop_pending();
  peer_gone_ = true;
  const bool again = reset_;
  reset_ = true;
  if (!again) host_.figures_.aborted.add(1);
  if (is_unix()) {
    discard_input();  // which would make close(2) fail the peer, which is to see the end
  } else if (!again) {
    transport_.reset_on_close();
  }
  return Step::kClose;
}

void Stream::on_abort() noexcept {
  if (is_open()) return run(Step::kClose);
  if (is_unopened()) cancel_opening();
}

// From now on abort() is too late. True if it was called before.
bool Stream::end_by_abort() noexcept {
  // relaxed, as in abort(): the answer of abort() alone counts.
  if (abort_.exchange(Abort::kTooLate, std::memory_order_relaxed) != Abort::kAsked) return false;
  set_failure(Error(std::make_error_code(std::errc::operation_canceled), "aborted"));
  reset();
  return true;
}

[[gnu::flatten]] Stream::Step Stream::close_now() {
  end_by_abort();
  drop_pending();
  const bool told = input_over_ && output_over_ && !tls_;  // there is nothing to say, and nothing will come
  const bool linger = !told && lingers();
  unlink();
  enter(Stage::kEnded);
  end_timeouts();
  if (host_.events_.closed) {
    const Error err = take_failure();
    host_.current_ = this;
    host_.call_guarded([&] { return host_.events_.closed(handle(), err); });
    host_.current_ = nullptr;
  }
  if (extras_ != nullptr) end_extras();
  context().reset();
  host_.server_.on_closed(*this);
  // Not before `closed` has returned: until then the peer cannot see the end. When it does, its connection counts no
  // more.
  const bool tells = linger || (tls_ && !reset_);
  if (tells && end_stream() && (linger || has_unsent())) {
    begin_linger();
    return Step::kLinger;
  }
  if (!peer_gone_ && !told) discard_input();
  close_socket();
  return Step::kWait;
}

void Stream::begin_linger() noexcept {
  enter(Stage::kLingering);
  linger_until_ = Timer::Clock::now() + host_.linger_interval_;
  host_.add_lingering(*this);
}

Stream::Step Stream::detach() {
  if (end_by_abort()) return Step::kClose;
  unlink();
  enter(Stage::kEnded);
  end_timeouts();
  unregister();
  if ((state_.output & kEnding) != 0) end_output_now();  // who gets the socket finds it as it was asked for
  DetachedConn socket(transport_.detach());
  host_.current_ = this;
  host_.call_guarded([&] { return host_.events_.detached(handle(), std::move(socket)); });
  host_.current_ = nullptr;
  if (extras_ != nullptr) end_extras();
  context().reset();
  host_.server_.on_closed(*this);
  enter(Stage::kClosed);
  release_to_loop();
  return Step::kWait;
}

// What is left of its functions is destroyed.
void Stream::end_extras() noexcept {
  extras_->timed.end();
  if (extras_->tls == nullptr) extras_.reset();  // else the peer is still to be told of the end
}

// Goes on until the peer's end of the stream was read, and this side's was sent: closing the socket destroys nothing
// then.
Stream::Step Stream::linger() {
  if (has_unsent()) end_stream();
  input_over_ = input_over_ || discard_input();
  if ((!input_over_ || has_unsent()) && update_interest() == Step::kWait) return Step::kWait;
  host_.lingering_.remove(*this);
  close_socket();
  return Step::kWait;
}

// As long as the peer has not acknowledged everything, and goes on acknowledging, it gets more time: closing the socket
// now could destroy what it has not received yet. Once it has, it gets a second. One that has acknowledged nothing for
// close_timeout is gone, or does not read: it is reset.
bool Stream::linger_expired(TimePoint next) noexcept {
  const int left = unacknowledged();
  const int before = std::exchange(unacknowledged_, left);
  looks_without_progress_ = left == before ? looks_without_progress_ + 1 : left == 0 ? 1 : 0;
  const std::uint32_t most = left != 0 ? host_.linger_looks_ : host_.discard_looks_;
  if (most == 0 || looks_without_progress_ < most) {
    linger_until_ = next;
    return false;
  }
  if (left != 0) {
    host_.figures_.aborted.add(1);
    transport_.reset_on_close();
  }
  end_linger();
  return true;
}

void Stream::end_linger() noexcept {
  if (has_unsent()) end_stream();
  discard_input();
  close_socket();
}

// True when the peer's end of the stream, or an error, was read.
bool Stream::discard_input() noexcept {
  for (int i = 0; i != kDiscardedReads; ++i) {
    const ssize_t n = tls_ ? discard_tls() : transport_.read(host_.figures_, host_.discarded_);
    if (n <= 0) return n == 0 || !sys::would_block(errno);
  }
  return false;
}

// Removed from the poller first: a process that was forked keeps the open file, and with it the registration, alive.
void Stream::close_socket() noexcept {
  unregister();
  transport_.close();
  enter(Stage::kClosed);
  release_to_loop();
}

void Stream::unregister() noexcept {
  if (state_.interest != Interest::kNone) host_.loop_.poller().remove(transport_.fd());
  state_.interest = Interest::kNone;
}

Stream::~Stream() { EVIO_ASSERT(state_.interest == Interest::kNone); }

// What is ready in this turn may still point here: the loop releases its reference when the turn ends.
void Stream::release_to_loop() noexcept {
  handle_ = Conn();
  host_.loop_.release_later(RefPtr<Endpoint>(this));
}

}  // namespace evio::internal
