/// The states of a connection: accept, opened, write, action, read, and what ends it.
#include "internal/stream/stream.hpp"

#include <algorithm>

#include "internal/base/syscalls.hpp"
#include "internal/stream/datagram_stream.hpp"
#include "internal/stream/stream_host.hpp"

namespace evio::internal {

Stream::Stream(FileDescriptor fd, std::uint64_t id, StreamHost& host, int addr_index, const Addr& local,
               const Addr& remote)
    : Endpoint(id, host.queue(), addr_index), transport_(std::move(fd)), host_(host), local_(local), remote_(remote) {
  unix_ = remote.port() == 0;  // a unix socket has no port
  if (host.announces()) state_.output = kIndirect;
}

// The heart: one state after the other, until the connection waits.
[[gnu::flatten]] void Stream::run_steps(Step step) noexcept {
  EVIO_ASSERT(on_loop());
  do {
    try {
      step = run_one(step);
    } catch (...) {
      step = out_of_memory();
    }
  } while (step != Step::kWait);
}

Stream::Step Stream::run_one(Step step) {
  switch (step) {
    case Step::kReady:
      return ready();
    case Step::kOpened:
      return opened();
    case Step::kWrite:
      return write();
    case Step::kAction:
      return action();
    case Step::kRead:
      return receive();
    case Step::kWake:
      return call([this] { return host_.call_data(handle(), {}); });
    case Step::kFunction:
      return function();
    case Step::kTry:
      return try_to_write();
    case Step::kCongested:
    case Step::kDrained:
    case Step::kEnded:
    case Step::kIdleTimeout:
    case Step::kWriteTimeout:
    case Step::kDeadline:
    case Step::kCloseTimeout:
      return tell(step);
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

Stream::Step Stream::receive() {
  note_progress();
  if (datagrams_) return DatagramStream::of(*this).read();
  return tls_ ? decrypt() : read(host_);
}

// What the connection is told of beside its input: flow, the peer's end, time.
Stream::Step Stream::tell(Step step) {
  switch (step) {
    case Step::kCongested:
      return congested();
    case Step::kDrained:
      return drained();
    case Step::kEnded:
      return ended();
    case Step::kIdleTimeout:
      return time_out(Timeout::Idle);
    case Step::kWriteTimeout:
      return time_out(Timeout::Write);
    case Step::kDeadline:
      return time_out(Timeout::Deadline);
    default:
      return time_out_close();
  }
}

void Stream::on_adopt(RefPtr<NoteTarget> self) noexcept {
  // Closed without a word: `opened` was never called for it.
  if (host_.loop_.shutting_down()) return host_.server_.on_closed(*this);
  self.detach();  // the loop's reference, until it is released at the end of a turn
  if (extras_ != nullptr) return extras_->opening->on_begin();
  run(Step::kOpened);
}

Stream::Step Stream::opened() {
  enter(Stage::kOpen);
  host_.open_.add(*this);
  (dialed_ ? host_.figures_.dialed : host_.figures_.accepted).add(1);
  Options options;
  options.read_while_pending = read_while_pending_ = dialed_;
  host_.current_ = this;
  Action action = Action::None;
  if (host_.events_.opened) {
    try {
      action = host_.events_.opened(handle(), host_.out_, options);
    } catch (...) {
      return callback_threw();
    }
    if (datagrams_) DatagramStream::ignore_flow(options);
    apply(options);
  }
  return finish_callback(host_, action);
}

// Throws std::bad_alloc.
void Stream::apply(const Options& options) {
  reuses_input_ = options.reuse_input_buffer;
  read_while_pending_ = options.read_while_pending;
  half_open_ = options.half_open;
  if (options.max_pending != 0) pending_bytes_.set_limit(options.max_pending);
  if (options.high_water != 0 || options.low_water != 0) {
    extras().high_water = options.high_water;
    extras().low_water = std::min(options.low_water, options.high_water);
  }
  apply_timeouts(options);
  if (options.tcp_keep_alive.count() <= 0 || is_unix()) return;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(options.tcp_keep_alive).count();
  constexpr int kLongest = 32767;  // tcp(7): the kernel's MAX_TCP_KEEPIDLE
  const int period = seconds < kLongest ? static_cast<int>(seconds) : kLongest;
  // A connection that its peer has already reset may refuse any of these; its next read reports that.
  sys::setsockopt(transport_.fd(), SOL_SOCKET, SO_KEEPALIVE, 1);
  sys::setsockopt(transport_.fd(), IPPROTO_TCP, TCP_KEEPIDLE, period);
  sys::setsockopt(transport_.fd(), IPPROTO_TCP, TCP_KEEPINTVL, period);
}

// Continues with what is pending. It may have been reported for the sake of its input, and is read even if this has
// written some: a peer that always takes some must not keep its own input waiting.
Stream::Step Stream::write() {
  if (wants_input()) return read_for_output();
  bool progressed = false;
  if (const Step failed = write_pending(progressed); failed != Step::kWait) return failed;
  if (read_while_pending_ && may_read() && !is_closing()) return Step::kRead;
  if (!progressed && is_closing()) return discard_behind_close();
  return next_step();
}

// kWait, unless it has failed.
Stream::Step Stream::write_pending(bool& progressed) {
  EVIO_ASSERT(is_open() && has_pending());
  if (datagrams_) return DatagramStream::of(*this).write_waiting(progressed);
  OutputQueue& output = *extras_->output;
  std::size_t left = OutputQueue::kWriteBudget;
  while (!output.empty() && left != 0) {
    OutputQueue::Batch batch;
    output.gather(batch);
    const ssize_t n = write_parts(batch.span());
    if (n < 0 && !sys::would_block(errno)) return write_failed(errno);
    const std::size_t written = n < 0 ? 0 : static_cast<std::size_t>(n);
    output.remove(written);
    pending_bytes_.remove(written);
    host_.figures_.pending.subtract(written);
    progressed = progressed || written != 0;
    if (written < batch.bytes) break;  // the socket is full
    left -= std::min(left, written);
  }
  moved(OutputQueue::kWriteBudget - left);
  if (progressed) output_progressed();
  extras_->tried = true;
  if (output.empty()) drop_pending();
  return Step::kWait;
}

// All output is handed over: Close or Detach is next. What was asked before goes first, and a wake from before the end
// still gets its call.
Stream::Step Stream::action() {
  if (has_sent()) return finish_callback(host_, Action::None);
  if (has_requests()) {
    if (continues_) return Step::kWait;
    if (requests_.has_requests()) append_requests(requests_.take_requests());
    if (may_call_function()) {
      if (may_call_more()) return Step::kFunction;
      continue_next_turn();
      return Step::kWait;
    }
    move_requested_output(host_.out_, kRequestsAtOnce);
    if (may_move_request()) continue_next_turn();
    return finish_counted();
  }
  if (take_last_wake()) return Step::kWake;
  return requested_action() == Action::Detach && !has_failed() ? Step::kDetach : Step::kClose;
}

// A write, or the registration, has failed. What the peer had sent before is still delivered, and nothing is answered.
// Input that arrives later is ignored; a unix peer can keep sending after it stops reading.
Stream::Step Stream::salvage() {
  if (datagrams_) return DatagramStream::of(*this).salvage();
  drop_pending();
  peer_gone_ = true;
  Output& out = host_.out_;
  host_.current_ = this;
  int left = transport_.unread();
  while ((left > 0 || (tls_ && extras_->tls->has_input())) && !is_closing() && !host_.loop_.shutting_down()) {
    const std::span<char> room = host_.input_.room();
    const ssize_t n = read_left(room, static_cast<std::size_t>(left));
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
  host_.current_ = nullptr;
  return Step::kClose;
}

// Of `left` bytes at the socket.
ssize_t Stream::read_left(std::span<char> room, std::size_t left) noexcept {
  if (!tls_) return transport_.read(host_.figures_, room.first(std::min(room.size(), left)));
  ssize_t n = 0;
  do {  // a part of a record has no bytes
    n = extras_->tls->read(transport_.fd(), room);
  } while (n < 0 && sys::would_block(errno) && transport_.unread() > 0);
  if (n > 0) host_.figures_.count_read(static_cast<std::size_t>(n));
  return n;
}

StreamExtras& Stream::extras() {
  if (extras_ == nullptr) extras_ = std::make_unique<StreamExtras>();
  return *extras_;
}

// False only when there is no memory for them.
bool Stream::has_extras() noexcept {
  if (extras_ == nullptr) extras_.reset(new (std::nothrow) StreamExtras);
  return extras_ != nullptr;
}

OutputQueue& Stream::pending() {
  if (!has_pending()) {
    extras().output = std::make_unique<OutputQueue>();
    state_.output |= kPending;
  }
  return *extras_->output;
}

void Stream::free_pending() noexcept {
  host_.figures_.pending.subtract(extras_->output->size());
  extras_->output.reset();
  state_.output &= static_cast<std::uint8_t>(~kPending);
}

}  // namespace evio::internal
