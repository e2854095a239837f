/// The states of a connection: accept, opened, write, action, read, and what ends it.
#include "internal/stream/stream.hpp"

#include <algorithm>

#include "internal/base/syscalls.hpp"
#include "internal/stream/stream_host.hpp"

namespace evio::internal {

Stream::Stream(FileDescriptor fd, std::uint64_t id, StreamHost& host, int addr_index, const Addr& local,
               const Addr& remote)
    : Endpoint(id, host.queue(), addr_index), transport_(std::move(fd)), host_(host), local_(local), remote_(remote) {
  if (host.announces()) state_.output = kAnnounced;
}

// The heart: one state after the other, until the connection waits.
[[gnu::flatten]] void Stream::run(Step step) noexcept {
  EVIO_ASSERT(on_loop());
  while (step != Step::kWait) {
    try {
      step = run_one(step);
    } catch (...) {
      step = out_of_memory();
    }
  }
}

Stream::Step Stream::run_one(Step step) {
  switch (step) {
    case Step::kOpened:
      return opened();
    case Step::kWrite:
      return write();
    case Step::kAction:
      return action();
    case Step::kRead:
      return read(host_);
    case Step::kWake:
      return deliver(host_, {});
    case Step::kSalvage:
      return salvage();
    case Step::kClose:
      return close_now();
    case Step::kDetach:
      return detach();
    case Step::kLinger:
      return linger();
    case Step::kWait:
      break;
  }
  return Step::kWait;
}

void Stream::on_adopt(RefPtr<NoteTarget> self) noexcept {
  // Closed without a word: `opened` was never called for it.
  if (host_.loop_.shutting_down()) return host_.server_.on_closed(*this);
  self.detach();  // the loop's reference, until it is released at the end of a turn
  run(Step::kOpened);
}

Stream::Step Stream::opened() {
  enter(Stage::kOpen);
  host_.open_.add(*this);
  EVIO_ASSERT(host_.out_.empty());
  Action action = Action::None;
  if (host_.events_.opened) {
    Options options;
    try {
      action = host_.events_.opened(handle(), host_.out_, options);
    } catch (...) {
      return callback_threw();
    }
    apply(options);
  }
  return finish_callback(host_, action);
}

void Stream::apply(const Options& options) noexcept {
  reuses_input_ = options.reuse_input_buffer;
  if (options.tcp_keep_alive.count() <= 0 || is_unix()) return;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(options.tcp_keep_alive).count();
  constexpr int kLongest = 32767;  // tcp(7): the kernel's MAX_TCP_KEEPIDLE
  const int period = seconds < kLongest ? static_cast<int>(seconds) : kLongest;
  // A connection that its peer has already reset may refuse any of these; its next read reports that.
  sys::setsockopt(transport_.fd(), SOL_SOCKET, SO_KEEPALIVE, 1);
  sys::setsockopt(transport_.fd(), IPPROTO_TCP, TCP_KEEPIDLE, period);
  sys::setsockopt(transport_.fd(), IPPROTO_TCP, TCP_KEEPINTVL, period);
}

// Continues with what is pending.
Stream::Step Stream::write() {
  EVIO_ASSERT(is_open() && has_pending());
  std::size_t left = OutputQueue::kWriteBudget;
  while (!pending_->empty() && left != 0) {
    OutputQueue::Batch batch;
    pending_->gather(batch);
    const ssize_t n = transport_.write(batch.span());
    if (n < 0 && !sys::would_block(errno)) return write_failed(errno);
    const std::size_t written = n < 0 ? 0 : static_cast<std::size_t>(n);
    pending_->remove(written);
    if (written < batch.bytes) break;  // the socket is full
    left -= std::min(left, written);
  }
  if (!pending_->empty()) return update_interest();
  drop_pending();
  return next_step();
}

// All output is handed over: Close or Detach is next. What other threads have sent before goes first, and a wake from
// before the end still gets its call.
Stream::Step Stream::action() {
  if (has_sent()) return finish_callback(host_, Action::None);
  if (has_requested_output()) {
    if (continues_) return Step::kWait;
    if (requests_.has_output()) requested_.append(requests_.take_output());
    if (!move_requested_output(host_.out_, kRequestsAtOnce)) continue_next_turn();
    return finish_callback(host_, Action::None);
  }
  if (take_last_wake()) return Step::kWake;
  return requested_action() == Action::Detach && failure_ == nullptr ? Step::kDetach : Step::kClose;
}

// A write, or the registration, has failed. What the peer had sent before is still delivered, and nothing is answered.
// Input that arrives later is ignored; a unix peer can keep sending after it stops reading.
Stream::Step Stream::salvage() {
  drop_pending();
  peer_gone_ = true;
  Output& out = host_.out_;
  int left = transport_.unread();
  while (left > 0 && !is_closing() && !host_.loop_.shutting_down()) {
    const std::span<char> room = host_.input_.room();
    const ssize_t n = transport_.read(room.first(std::min(room.size(), static_cast<std::size_t>(left))));
    if (n <= 0) break;
    left -= static_cast<int>(n);
    try {
      record(host_.call_data(handle(), host_.input_.filled(room.data(), static_cast<std::size_t>(n), reuses_input_)));
    } catch (...) {
      record(Action::Close);
    }
    out.clear();
    host_.input_.done();
  }
  return Step::kClose;
}

OutputQueue& Stream::pending() {
  if (pending_ == nullptr) {
    pending_ = std::make_unique<OutputQueue>();
    state_.output |= kPending;
  }
  return *pending_;
}

void Stream::free_pending() noexcept {
  pending_.reset();
  state_.output &= static_cast<std::uint8_t>(~kPending);
}

}  // namespace evio::internal
