#include "internal/connection.hpp"

#include <array>
#include <new>

#include "internal/output_access.hpp"

namespace evio::internal {
namespace {

// From this size on another thread's Bytes are shared, not copied: many connections may get the same.
constexpr std::size_t kShareFrom = 1024;

}  // namespace

// Posts the note that is asked for. Where there is no memory for one, the loop looks at all its connections.
bool Connection::tell(Mailbox::Asked asked) noexcept {
  if (asked == Mailbox::Asked::kPost && !queue().post(Note::about(Note::Kind::kMail, *this))) queue().lose();
  return asked != Mailbox::Asked::kRefused;
}

bool Connection::wake() { return tell(mailbox_.wake()); }
bool Connection::close() { return tell(mailbox_.close()); }

template <class Add>
bool Connection::ask_to_send(Add add) {
  bool failed = false;
  return tell(mailbox_.add(add, failed)) && !failed;
}

bool Connection::send(Bytes bytes) {
  if (queue().on_loop_thread()) return send_here(&bytes, {});
  if (bytes.size() < kShareFrom) return send_text(bytes.view());
  return ask_to_send([&](Output& texts) { OutputAccess::share(texts, std::move(bytes)); });
}

bool Connection::send_text(std::string_view text) {
  if (queue().on_loop_thread()) return send_here(nullptr, text);
  return ask_to_send([&](Output& texts) { texts.append(text); });
}

// In a callback of the loop's own: straight behind what is pending, so that it leaves before what that callback, or a
// later one, returns; and behind what other threads have sent before.
bool Connection::send_here(const Bytes* bytes, std::string_view text) noexcept {
  if (closing() || broken_) return false;
  try {
    if (!unsent_ && !queue().post(Note::about(Note::Kind::kFlush, *this))) return false;
    if (pending_ == nullptr) pending_ = std::make_unique<SendQueue>();
    unsent_ = true;
    if (mailbox_.has_texts() && !fetch_texts()) return false;
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

// False when there is no memory for what other threads were told is sent: without that nothing may leave any more.
bool Connection::fetch_texts() noexcept {
  try {
    for (auto texts = mailbox_.take_texts(); texts != nullptr; texts = std::move(texts->behind_wake))
      pending_->take(texts->text, 0);
  } catch (const std::bad_alloc&) {
    broken_ = true;
  }
  return !broken_;
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
  if (broken_) {
    errno = ENOMEM;
    return Sent::kFailed;
  }
  const Sent sent = pending_->write(fd());
  if (sent == Sent::kAll) pending_.reset();
  return sent;
}

void Connection::request(Action action) noexcept {
  if (action_ != Action::None) return;
  action_ = action;
  mailbox_.refuse();
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
