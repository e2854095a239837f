#include "internal/connection.hpp"

#include <array>
#include <new>

#include "internal/output_access.hpp"

namespace evio::internal {

bool Connection::wake() {
  if (closing()) return false;
  // release: pairs with take_wake().
  const std::uint32_t before = asked_.fetch_or(kWoken, std::memory_order_release);
  if ((before & kClosing) != 0) return false;
  if ((before & kWoken) == 0 && !queue().post(Note::about(Note::Kind::kWake, *this))) queue().lose();
  return true;
}

bool Connection::send(Bytes bytes) {
  if (queue().on_loop_thread()) return send_here(&bytes, {});
  if (bytes.size() <= Note::kLongestText) return send_text(bytes.view());
  return begin_send() && post_send(Note::send(*this, std::move(bytes)));
}

bool Connection::send_text(std::string_view text) {
  if (queue().on_loop_thread()) return send_here(nullptr, text);
  if (text.size() > Note::kLongestText) return !closing() && send(Bytes::copy(text));
  return begin_send() && post_send(Note::send_text(*this, text));
}

// In a callback of the loop's own: straight behind what is pending, so that it leaves before what that callback, or a
// later one, returns.
bool Connection::send_here(const Bytes* bytes, std::string_view text) noexcept {
  if (closing()) return false;
  try {
    if (!unsent_ && !queue().post(Note::about(Note::Kind::kFlush, *this))) return false;
    if (pending_ == nullptr) pending_ = std::make_unique<SendQueue>();
    unsent_ = true;
    if (bytes != nullptr) {
      pending_->add(*bytes);
    } else {
      pending_->add_text(text);
    }
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

// Counts one more send under way, unless the connection is closing.
bool Connection::begin_send() noexcept {
  // relaxed: the flag and the count are all that matters here; the bytes travel with the note.
  std::uint32_t before = asked_.load(std::memory_order_relaxed);
  do {
    if ((before & kClosing) != 0) return false;
  } while (!asked_.compare_exchange_weak(before, before + kSend, std::memory_order_relaxed));
  return true;
}

bool Connection::post_send(Note note) noexcept {
  if (queue().post(note)) return true;
  sends_done(1);
  queue().lose();
  return false;
}

bool Connection::close() {
  if ((asked_.fetch_or(kClosing, std::memory_order_relaxed) & kClosing) != 0) return false;
  if (!queue().post(Note::about(Note::Kind::kClose, *this))) queue().lose();
  return true;
}

void Connection::keep(std::unique_ptr<Context> value) {
  if (stage_ == Stage::kLingering || stage_ == Stage::kGone) return;
  context().swap(value);  // the one kept before is destroyed last: its destructor may look at the connection
}

void Connection::apply(const Options& options) noexcept {
  reuses_input_ = options.reuse_input_buffer;
  if (options.tcp_keep_alive.count() <= 0 || remote().network() != "tcp") return;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(options.tcp_keep_alive).count();
  constexpr int kLongest = 32767;  // tcp(7): the kernel's MAX_TCP_KEEPIDLE
  const int period = seconds < kLongest ? static_cast<int>(seconds) : kLongest;
  // A connection already reset by its peer may refuse any of these; its next read says so.
  sys::setsockopt(fd(), SOL_SOCKET, SO_KEEPALIVE, 1);
  sys::setsockopt(fd(), IPPROTO_TCP, TCP_KEEPIDLE, period);
  sys::setsockopt(fd(), IPPROTO_TCP, TCP_KEEPINTVL, period);
}

Sent Connection::transmit(const Output& out) {
  if (blocked()) {
    pending_->take(out, 0);
    return unsent_ ? flush() : Sent::kBlocked;
  }
  std::array<iovec, 64> parts;
  return keep_rest(out, sys::writev(fd(), parts.data(), OutputAccess::gather(out, parts)));
}

Sent Connection::keep_rest(const Output& out, ssize_t written) {
  if (written < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return Sent::kFailed;
  const std::size_t done = written < 0 ? 0 : static_cast<std::size_t>(written);
  if (done == out.size()) return Sent::kAll;
  pending_ = std::make_unique<SendQueue>();
  pending_->take(out, done);
  return Sent::kBlocked;
}

Sent Connection::flush() {
  unsent_ = false;
  const Sent sent = pending_->write(fd());
  if (sent == Sent::kAll) pending_.reset();
  return sent;
}

void Connection::request(Action action) noexcept {
  if (action_ != Action::None) return;
  action_ = action;
  asked_.fetch_or(kClosing, std::memory_order_relaxed);
}

void Connection::request_end() noexcept {
  heeds_wake_ =
      heeds_wake_ || !closing();  // the peer's end may have come, and its wake be waiting, when the server's does
  request(Action::Close);
}

void Connection::fail(Error err) noexcept {
  if (failure_ == nullptr) failure_.reset(new (std::nothrow) Error(std::move(err)));
}

Error Connection::take_failure() noexcept {
  if (failure_ == nullptr) return {};
  Error err = std::move(*failure_);
  failure_.reset();
  return err;
}

void ConnectionList::add(Connection& c) noexcept {
  c.previous_ = last_;
  c.next_ = nullptr;
  (last_ == nullptr ? first_ : last_->next_) = &c;
  last_ = &c;
}

void ConnectionList::remove(Connection& c) noexcept {
  (c.previous_ == nullptr ? first_ : c.previous_->next_) = c.next_;
  (c.next_ == nullptr ? last_ : c.next_->previous_) = c.previous_;
  c.previous_ = c.next_ = nullptr;
}

}  // namespace evio::internal
