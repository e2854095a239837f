/// A connection whose bytes are encrypted: where it leaves the ways of a plain one.
#include "internal/base/syscalls.hpp"
#include "internal/stream/stream.hpp"
#include "internal/stream/stream_host.hpp"

namespace evio::internal {

const TlsInfo* Stream::tls() const {
  const bool knows = on_loop() && in_own_callback() && extras_ != nullptr && extras_->tls != nullptr;
  return knows ? &extras_->tls->info() : nullptr;
}

// Records that the socket has not taken: those of bytes that are pending, or the protocol's own.
bool Stream::has_unsent() const noexcept {
  return tls_ && extras_ != nullptr && extras_->tls != nullptr && extras_->tls->has_unsent();
}

// There is input that no poller will report.
bool Stream::has_decrypted() const noexcept {
  return tls_ && extras_->tls->has_input() && may_read() && !is_closing() && (!has_pending() || read_while_pending_);
}

// What is pending waits for input: it is read though output is pending.
bool Stream::wants_input() const noexcept {
  return tls_ && extras_ != nullptr && extras_->tls != nullptr && extras_->tls->wants_input();
}

Stream::Step Stream::read_for_output() {
  if (is_closing()) return discard_behind_close();
  return may_read() ? Step::kRead : update_interest();
}

Stream::Step Stream::decrypt() {
  const std::span<char> room = host_.input_.room();
  TlsSession& tls = *extras_->tls;
  const ssize_t n = tls.read(transport_.fd(), room);
  if (n > 0) {
    host_.figures_.count_read(static_cast<std::size_t>(n));
    moved(static_cast<std::size_t>(n));
    return deliver(host_, host_.input_.filled(room.data(), static_cast<std::size_t>(n), reuses_input_));
  }
  if (n == 0) return take_end_of_input();
  if (sys::would_block(errno)) return next_step_slow();
  const std::error_code code = sys::last_error();
  fail(tls_error("read", code));
  if (tls.is_truncated()) {
    // All that has come was delivered, and what is pending is sent.
    input_over_ = peer_gone_ = true;
    end_of_input();
    return next_step_slow();
  }
  peer_gone_ = code != std::errc::protocol_error;  // else it is to receive the alert
  return Step::kClose;
}

// "read tcp 127.0.0.1:443->127.0.0.1:40000: truncated".
Error Stream::tls_error(std::string_view call, std::error_code code) const {
  const Error& failure = extras_->tls->failure();
  if (failure) code = failure.code();
  return Error(code, std::string(call) + ' ' + describe() + ": " + (failure ? failure.message() : code.message()));
}

ssize_t Stream::write_parts(std::span<iovec> parts) noexcept {
  if (!tls_) return transport_.write(host_.figures_, parts);
  const ssize_t n = extras_->tls->write(transport_.fd(), parts);
  if (n > 0) host_.figures_.count_write(static_cast<std::size_t>(n));
  return n;
}

// The protocol's own records. kWait, unless it has failed.
Stream::Step Stream::flush_tls() {
  if (!has_unsent() || has_pending()) return Step::kWait;
  if (extras_->tls->flush(transport_.fd()) == 0 || sys::would_block(errno)) return Step::kWait;
  return write_failed(errno);
}

// Behind a close. Where output waits for input, that is not just thrown away.
ssize_t Stream::discard_tls() noexcept {
  return wants_input() ? extras_->tls->read(transport_.fd(), host_.discarded_) : transport_.discard(host_.discarded_);
}

// close_notify, then the end of the stream (RFC 8446, 6.1). True, too, while the socket is too full for it, as
// has_unsent() says: then this is to be called again when the connection can be written to. Without memory for it the
// peer sees a truncated stream. False if the socket has failed.
bool Stream::end_stream() noexcept {
  if (tls_ && extras_ != nullptr && extras_->tls != nullptr) {
    if (extras_->tls->end_output(transport_.fd()) != 0 && sys::would_block(errno)) return true;
    if (!is_open()) extras_.reset();
  }
  return transport_.end_output();
}

// The user would get a socket without what encrypts it.
void Stream::refuse_detach() noexcept try {
  const auto code = std::make_error_code(std::errc::operation_not_supported);
  fail(Error(code, "detach " + describe() + ": " + code.message()));
  request_end(Action::Close);
} catch (const std::bad_alloc&) {
  set_failure(Error(std::make_error_code(std::errc::operation_not_supported), {}));
  request_end(Action::Close);
}

}  // namespace evio::internal
