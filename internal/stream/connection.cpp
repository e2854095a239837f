#include "internal/stream/connection.hpp"

#include <array>
#include <new>

#include "evio/detail/share_policy.hpp"
#include "internal/buffer/output_access.hpp"

namespace evio::internal {
namespace {

// So many are worked off before others get their turn.
constexpr int kRequestsAtOnce = 1024;

}  // namespace

// Posts the note that is needed. Where there is no memory for one, the loop looks at all its connections.
bool Connection::notify_loop(Requests::Added added) noexcept {
  if (added == Requests::Added::kMustPost && !queue().post(Note::about(Note::Kind::kRequest, *this))) queue().lose();
  return added != Requests::Added::kRefused;
}

bool Connection::wake() { return notify_loop(requests_.wake()); }
bool Connection::close() { return notify_loop(requests_.close()); }

bool Connection::add_request(Request* request) noexcept {
  return request != nullptr && notify_loop(requests_.send(request));
}

bool Connection::send(Bytes bytes) {
  if (queue().on_loop_thread()) return send_here(&bytes, {});
  if (bytes.empty()) return !closing();
  if (bytes.size() < kShareInRequest) return add_request(Request::copy(bytes.view(), queue().requests()));
  return add_request(Request::share(std::move(bytes), queue().requests()));
}

bool Connection::send_text(std::string_view text) try {
  if (queue().on_loop_thread()) return send_here(nullptr, text);
  if (text.empty()) return !closing();
  if (text.size() < kShareInOutput) return add_request(Request::copy(text, queue().requests()));
  return add_request(Request::share(Bytes::copy(text), queue().requests()));
} catch (const std::bad_alloc&) {
  return false;
}

void Connection::take_requests() noexcept {
  continues_ = false;
  if (!requested_.empty() || wake_due_) return;  // those first
  Requests::Taken taken = requests_.take();
  requested_ = std::move(taken.list);
  wake_due_ = taken.woken;
}

void Connection::take_last_requests() noexcept {
  if (requests_.has_output()) requested_.append(requests_.take_output());
}

bool Connection::move_requested_output(Output& out) {
  const bool up_to_wake = wake_due_ && !closing();
  BlockPool::Returned returned(queue().requests());
  for (int left = kRequestsAtOnce; left != 0 && !requested_.empty(); --left) {
    Request& request = requested_.front();
    if (up_to_wake && request.after_wake) break;
    if (request.shared.empty()) [[likely]] {
      out.append(request.text());
    } else {
      OutputAccess::share(out, request.shared);
    }
    requested_.pop()->recycle(returned);
  }
  return requested_.empty();
}

// What was sent behind a wake waits for its data call, while that may still come.
bool Connection::may_move_request() const noexcept {
  return !requested_.empty() && !(wake_due_ && requested_.front().after_wake && !closing());
}

bool Connection::take_due_wake() noexcept {
  const bool now = wake_due_ && !closing() && (requested_.empty() || requested_.front().after_wake);
  if (now) wake_due_ = false;
  return now;
}

bool Connection::continue_next_turn() noexcept {
  continues_ = continues_ || queue().post(Note::about(Note::Kind::kRequest, *this));
  return continues_;
}

void Connection::put_requested_output_first() noexcept {
  if (!wake_due_) {
    Requests::Taken taken = requests_.take();
    requested_.append(std::move(taken.list));
    wake_due_ = taken.woken;
  }
  if (!may_move_request()) return;
  if (pending_ == nullptr) pending_.reset(new (std::nothrow) OutputQueue);
  if (pending_ == nullptr) return;  // they go when their note comes: late, but not lost
  unsent_ = true;
  BlockPool::Returned returned(queue().requests());
  while (!broken_ && may_move_request()) queue_request(returned);
}

void Connection::drop_requests() noexcept {
  requested_.recycle(queue().requests());
  requests_.take_output().recycle(queue().requests());
}

// In a callback of the loop's own: straight behind what is pending, so that it leaves before what that callback, or a
// later one, returns; and behind what other threads have sent before.
bool Connection::send_here(const Bytes* bytes, std::string_view text) noexcept {
  if (closing() || broken_) return false;
  try {
    if (!unsent_ && !queue().post(Note::about(Note::Kind::kFlush, *this))) return false;
    if (pending_ == nullptr) pending_ = std::make_unique<OutputQueue>();
    unsent_ = true;
    if (has_requested_output() && !fetch_requested_output()) return false;
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

// All of it, what was sent behind a wake too. False when there is no memory for that.
bool Connection::fetch_requested_output() noexcept {
  requested_.append(requests_.take_output());
  BlockPool::Returned returned(queue().requests());
  while (!broken_ && !requested_.empty()) queue_request(returned);
  return !broken_;
}

// Other threads were told that it is sent: without memory for it nothing may leave any more.
void Connection::queue_request(BlockPool::Returned& returned) noexcept {
  const Request& request = requested_.front();
  try {
    if (request.shared.empty()) {
      pending_->add_text(request.text());
    } else {
      pending_->add(request.shared);
    }
    requested_.pop()->recycle(returned);
  } catch (const std::bad_alloc&) {
    broken_ = true;
  }
}

void Connection::keep(std::unique_ptr<Context> value) {
  if (stage() == Stage::kLingering || stage() == Stage::kGone) return;
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
  pending_ = std::make_unique<OutputQueue>();
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
  if (this->action() != Action::None) return;
  state_.action = static_cast<std::uint16_t>(action);
  requests_.refuse();
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

bool Connection::makes_no_progress(int unacknowledged) noexcept {
  constexpr int kLooks = 60;
  looks_in_vain_ = unacknowledged == unacknowledged_ ? static_cast<std::uint8_t>(looks_in_vain_ + 1) : 0;
  unacknowledged_ = unacknowledged;
  return looks_in_vain_ == kLooks;
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
