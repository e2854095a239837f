#include "internal/connection.hpp"

#include <array>
#include <new>

#include "internal/output_access.hpp"

namespace evio::internal {

bool Connection::wake() {
  // release: pairs with take_wake().
  const std::uint32_t before = asked_.fetch_or(kWoken, std::memory_order_release);
  if ((before & kClosing) != 0) return false;
  if ((before & kWoken) == 0 && !queue().post({Note::Kind::kWake, PeerAccess::handle(this), {}})) queue().lose();
  return true;
}

bool Connection::send(Bytes bytes) {
  // relaxed: the flag and the count are all that matters here; the bytes travel with the note.
  std::uint32_t before = asked_.load(std::memory_order_relaxed);
  do {
    if ((before & kClosing) != 0) return false;
  } while (!asked_.compare_exchange_weak(before, before + kSend, std::memory_order_relaxed));
  if (queue().post({Note::Kind::kSend, PeerAccess::handle(this), std::move(bytes)})) return true;
  sends_done(1);
  queue().lose();
  return false;
}

bool Connection::close() {
  if ((asked_.fetch_or(kClosing, std::memory_order_relaxed) & kClosing) != 0) return false;
  if (!queue().post({Note::Kind::kClose, PeerAccess::handle(this), {}})) queue().lose();
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
  std::size_t written = 0;
  if (!blocked()) {
    ssize_t n = 0;
    if (OutputAccess::is_text(out)) [[likely]] {
      const std::string_view text = OutputAccess::text(out);
      n = sys::write(fd(), text.data(), text.size());
    } else {
      std::array<iovec, 64> parts;
      n = sys::writev(fd(), parts.data(), OutputAccess::gather(out, parts));
    }
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return Sent::kFailed;
    written = n < 0 ? 0 : static_cast<std::size_t>(n);
    if (written == out.size()) [[likely]]
      return Sent::kAll;
    pending_ = std::make_unique<SendQueue>();
  }
  pending_->take(out, written);
  return Sent::kBlocked;
}

Sent Connection::flush() {
  const Sent sent = pending_->write(fd());
  if (sent == Sent::kAll) pending_.reset();
  return sent;
}

void Connection::request(Action action) noexcept {
  if (action_ != Action::None) return;
  action_ = action;
  asked_.fetch_or(kClosing, std::memory_order_relaxed);
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
