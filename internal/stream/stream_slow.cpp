/// Where a message leaves its fast path: nothing was read, the socket took only a part, a callback threw, memory ran
/// out.
#include <array>

#include "internal/base/exception_error.hpp"
#include "internal/base/syscalls.hpp"
#include "internal/buffer/output_access.hpp"
#include "internal/stream/datagram_stream.hpp"
#include "internal/stream/stream_host.hpp"

namespace evio::internal {
namespace {

// "read tcp 127.0.0.1:5000->127.0.0.1:40000: Connection reset by peer", as Go words it.
Error connection_error(const Endpoint& endpoint, std::string_view call, std::error_code code) {
  return Error(code, std::string(call) + ' ' + endpoint.describe() + ": " + code.message());
}

}  // namespace

// It is ready, and does not just read.
Stream::Step Stream::ready() {
  switch (state_.stage) {
    case Stage::kOpen:
      if (is_put_off()) return Step::kWait;
      if ((state_.output & kAborted) != 0) return reset();
      if (const Step failed = flush_tls(); failed != Step::kWait) return failed;
      if (is_closing()) return has_pending() ? Step::kWrite : Step::kAction;  // its note may be still to come
      // What other threads have asked by now, with a note that is still to come, comes before what a callback answers.
      if (has_requests()) put_requests_first();
      if (!is_open()) return Step::kWait;
      if (is_closing()) return next_step_slow();
      if (has_pending()) return Step::kWrite;
      return may_read() ? Step::kRead : hung_up();
    case Stage::kLingering:
      return Step::kLinger;
    case Stage::kUnopened:
      if (extras_ != nullptr && extras_->opening != nullptr) extras_->opening->on_ready();
      return Step::kWait;
    case Stage::kEnded:
    case Stage::kClosed:
      break;  // earlier in this turn
  }
  return Step::kWait;
}

bool Stream::is_put_off() noexcept {
  if ((state_.action & kBulk) == 0) return false;
  if (host_.loop_.puts_off(*this, bulk_turn_)) return true;
  state_.action &= static_cast<std::uint8_t>(~kBulk);  // until it moves much again
  return false;
}

// Returns what it is given: its caller need not keep it.
ssize_t Stream::moved_much(ssize_t n) noexcept {
  state_.action |= kBulk;
  bulk_turn_ = host_.loop_.turns();
  return n;
}

// It was reported although it is not to be read: as it was paused just now, or its socket has failed or is shut down
// both ways. What was reported may be from before it was watched for failure alone.
Stream::Step Stream::hung_up() {
  if (state_.interest != Interest::kFailure) return next_step_slow();
  if (!transport_.has_hung_up()) return Step::kWait;
  if (const int err = transport_.take_error(); err != 0) {
    fail(connection_error(*this, "read", {err, std::system_category()}));
    return Step::kSalvage;
  }
  if (!input_over_) {
    unregister();  // the poller would report it again and again; it is watched again when it is to be read
    return Step::kWait;
  }
  if (output_over_) return Step::kWait;
  fail(connection_error(*this, "write", {EPIPE, std::system_category()}));
  return Step::kClose;
}

// read(2) returned end of file or an error.
Stream::Step Stream::read_nothing(ssize_t n) {
  if (n < 0 && errno == EINTR) return Step::kRead;
  if (n < 0 && sys::would_block(errno)) return next_step();
  if (n == 0) return take_end_of_input();
  peer_gone_ = true;
  fail(connection_error(*this, "read", sys::last_error()));
  return Step::kClose;
}

Stream::Step Stream::take_end_of_input() {
  note_progress();
  input_over_ = true;
  if (half_open_ && !is_closing() && (!tls_ || extras_->tls->may_half_close())) return Step::kEnded;
  peer_gone_ = true;
  // What send() has taken goes out before the connection closes, and a wake gets its call.
  end_of_input();
  return next_step();
}

// What the peer still sends while output is pending behind a close: if nobody took it, a peer that reads only when it
// has written would never take that output.
Stream::Step Stream::discard_behind_close() {
  if (datagrams_) input_over_ = true;  // nobody reads it, nor waits for that
  if (requested_action() == Action::Detach || input_over_) return next_step_slow();
  if (!discard_input()) return next_step_slow();
  peer_gone_ = input_over_ = true;
  return next_step_slow();
}

// Writes output in several pieces, after output that is pending or was sent before, or announced by pre_write. One text
// that was sent, and nothing else, is as common as all of that: it is written from where it is.
[[gnu::flatten]] Stream::Step Stream::transmit_slow() {
  if (state_.output == kSent && host_.out_.empty()) {
    if (requested_.empty() && host_.outbox_.is_one_text(sent_)) return transmit_sent();
    if (requested_.is_one() && sent_.first == 0) return transmit_request();
  }
  if (state_.output == (kSent | kTimeouts) && host_.out_.empty()) return transmit_timed();
  return transmit_all();
}

// A connection with timeouts, but no write_timeout, takes the same path: nothing is due earlier because of it.
[[gnu::noinline, gnu::flatten]] Stream::Step Stream::transmit_timed() {
  const bool is_text = requested_.empty() && host_.outbox_.is_one_text(sent_);
  if (!is_text && !(requested_.is_one() && sent_.first == 0)) return transmit_all();
  timeouts_->output_moved(host_.loop_.turn_time());
  return is_text ? transmit_sent() : transmit_request();
}

// Throws std::bad_alloc.
Stream::Step Stream::transmit_all() {
  Output& out = host_.out_;
  if ((state_.output & (kEnding | kAborted)) != 0) {
    drop_output();
    return Step::kWait;
  }
  pending_bytes_.add(out.size());
  if (has_sent()) {
    try {
      put_sent_first();
    } catch (const std::bad_alloc&) {
      host_.sent_.clear();
      out.clear();
      return write_failed(ENOMEM);  // the senders were told that it is sent: nothing may leave any more
    }
  }
  return transmit_counted();
}

// The output has been counted as pending. Throws std::bad_alloc.
Stream::Step Stream::transmit_counted() {
  Output& out = host_.out_;
  if (out.empty()) return Step::kWait;
  if (!host_.call_pre_write()) {
    pending_bytes_.remove(out.size());
    out.clear();
    return Step::kWait;
  }
  if (datagrams_) return DatagramStream::of(*this).write_output();
  if (has_pending()) {
    keep_pending(0);
    return Step::kWait;
  }
  return write_output();
}

Stream::Step Stream::finish_counted() {
  const Step next = transmit_counted();
  return next == Step::kWait ? next_step() : next;
}

// Nothing may leave any more.
void Stream::drop_output() noexcept {
  host_.out_.clear();
  sent_ = {};
  state_.output &= static_cast<std::uint8_t>(~kSent);
}

// The socket has taken it whole.
inline void Stream::wrote_sent(std::size_t bytes) noexcept {
  host_.figures_.count_write(bytes);
  pending_bytes_.remove(bytes);
  state_.output &= kTimeouts;
}

Stream::Step Stream::transmit_sent() {
  const std::string_view text = host_.outbox_.first_text(sent_);
  const ssize_t n = transport_.write_once(text.data(), text.size());
  if (n != static_cast<ssize_t>(text.size())) [[unlikely]]
    return keep_sent_remainder(n);
  wrote_sent(text.size());
  sent_ = {};
  return Step::kWait;
}

Stream::Step Stream::transmit_request() {
  EVIO_ASSERT(may_move_request());
  const std::string_view text = requested_.front().text();
  const ssize_t n = transport_.write_once(text.data(), text.size());
  if (n != static_cast<ssize_t>(text.size())) [[unlikely]]
    return keep_sent_remainder(n);
  wrote_sent(text.size());
  requested_.pop()->recycle(queue().blocks());
  bring_up_requests();
  return Step::kWait;
}

Stream::Step Stream::keep_sent_remainder(ssize_t written) {
  const int err = errno;
  if (written > 0) host_.figures_.count_write(static_cast<std::size_t>(written));
  put_sent_first();
  errno = err;
  return keep_remainder(written);
}

Stream::Step Stream::write_output() {
  std::array<iovec, 64> parts;
  const auto count = static_cast<std::size_t>(OutputAccess::gather(host_.out_, parts));
  return keep_remainder(write_parts(std::span(parts).first(count)));
}

// The socket has taken `written` bytes of a callback's output, or failed.
Stream::Step Stream::keep_output(ssize_t written) {
  const int err = errno;
  if (written > 0) host_.figures_.count_write(static_cast<std::size_t>(written));
  pending_bytes_.add(host_.out_.size());
  errno = err;
  return keep_remainder(written);
}

// The same of output that was counted as pending.
Stream::Step Stream::keep_remainder(ssize_t written) {
  Output& out = host_.out_;
  if (written < 0 && errno == EINTR) return write_output();
  if (written < 0 && !sys::would_block(errno)) {
    const int err = errno;
    out.clear();
    return write_failed(err);
  }
  const std::size_t done = written < 0 ? 0 : static_cast<std::size_t>(written);
  pending_bytes_.remove(done);
  moved(done);
  if (done != out.size()) {
    keep_pending(done);
    extras_->tried = true;
  }
  out.clear();
  output_progressed();
  return Step::kWait;
}

// The output from byte `from` on waits until the socket takes it. Throws std::bad_alloc; a part may wait then.
void Stream::keep_pending(std::size_t from) {
  Output& out = host_.out_;
  OutputQueue& queue = pending();
  const std::size_t before = queue.size();
  try {
    queue.append(out, from);
  } catch (...) {
    host_.figures_.pending.add(queue.size() - before);  // free_pending() takes it back
    throw;
  }
  host_.figures_.pending.add(queue.size() - before);
  out.clear();
}

Stream::Step Stream::next_step_slow() {
  if ((state_.output & kAborted) != 0) return reset();
  if (datagrams_) {
    if (const Step step = DatagramStream::of(*this).after_sending(); step != Step::kWait) return step;
  }
  if (!has_pending()) {
    if (requested_action() != Action::None) return Step::kAction;
    if ((state_.output & kEnding) != 0) {
      end_output_now();
      if (input_over_) {
        end_of_input();  // both sides have ended
        return Step::kAction;
      }
    }
  } else if (requested_action() != Action::None) {
    watch_close();
  }
  const Step step = flow_step();
  if (step != Step::kWait) return step;
  if (has_decrypted()) {
    if (!has_requests()) return Step::kRead;
    continue_next_turn();  // what was asked before the input came goes first
  }
  return update_interest();
}

// While output is pending the peer is not read: that is the back-pressure. Behind a close its input is discarded.
Interest Stream::wanted_interest() const noexcept {
  if (!has_pending()) {
    const bool reads = state_.stage == Stage::kLingering ? !input_over_ : may_read();
    if (has_unsent()) return reads ? Interest::kReadWrite : Interest::kWrite;
    return reads ? Interest::kRead : Interest::kFailure;
  }
  if (wants_input()) return input_over_ || (!is_closing() && !may_read()) ? Interest::kFailure : Interest::kRead;
  const bool reads = requested_action() == Action::None ? read_while_pending_ && may_read()
                                                        : requested_action() == Action::Close && !input_over_;
  return reads ? Interest::kReadWrite : Interest::kWrite;
}

Stream::Step Stream::update_interest() {
  const auto code = watch(wanted_interest());
  if (!code) return Step::kWait;
  fail(connection_error(*this, "watch", code));
  return Step::kSalvage;
}

Stream::Step Stream::write_failed(int err) {
  fail(connection_error(*this, "write", {err, std::system_category()}));
  return Step::kSalvage;
}

// An exception left `opened` or `data`: what that call has added is dropped, what was added before is sent.
Stream::Step Stream::callback_threw() {
  host_.current_ = nullptr;
  host_.out_.clear();
  host_.input_.done();
  fail(current_exception_error());
  record(Action::Close);
  return next_step();
}

void Stream::renew_handle() noexcept {
  retain();
  handle_ = EndpointAccess::handle(RefPtr<Endpoint>(this));
}

// In a catch clause: no callback threw, so the library did, for want of memory. It costs this connection.
Stream::Step Stream::out_of_memory() noexcept {
  host_.current_ = nullptr;
  host_.out_.clear();
  host_.sent_.clear();
  host_.input_.done();
  fail(current_exception_error());
  drop_pending();
  peer_gone_ = true;
  return is_open() ? Step::kClose : Step::kWait;
}

}  // namespace evio::internal
