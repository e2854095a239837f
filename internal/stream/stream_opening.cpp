/// A connection before it is opened: it is being dialed, was adopted, or shakes hands with its peer. It exists already,
/// and what is asked of it waits behind what `opened` adds.
#include <mutex>
#include <new>
#include <utility>

#include "internal/stream/stream.hpp"
#include "internal/stream/stream_host.hpp"

namespace evio::internal {
namespace {

// For the addresses of connections that are being dialed: only then do they change.
std::mutex& address_mutex() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

// The function that is none stands before all that is asked: so nothing is written from another thread's request, or
// put into the outbox, and what `opened` sends passes it.
Stream::Stream(std::uint64_t id, StreamHost& host, RefPtr<NoteQueue> queue, bool dialed)
    : Endpoint(id, std::move(queue), -1), transport_(FileDescriptor()), host_(host) {
  dialed_ = dialed;
  addresses_known_.store(false, std::memory_order_relaxed);
  extras();
  Request* const first = Request::make(Request::Function(), this->queue().blocks());
  if (first == nullptr) throw std::bad_alloc();
  requested_.add(first);
  continues_ = true;
}

void Stream::set_context(std::unique_ptr<Context> value) {
  if (state_.stage > Stage::kOpen) return;
  context().swap(value);  // the previous one is destroyed last: its destructor may look at the connection
}

void Stream::open_later(OpeningPtr opening, bool is_unix) {
  extras().opening = std::move(opening);
  unix_ = is_unix;
}

bool Stream::set_opening(Opening& opening) noexcept {
  extras_->opening.reset(&opening);
  hold_requests();
  if (abort_.load(std::memory_order_relaxed) == Abort::kAsked) cancel_opening();
  return extras_ != nullptr && extras_->opening != nullptr;
}

void Stream::set_addresses(const Addr& local, const Addr& remote) noexcept {
  const std::lock_guard lock(address_mutex());
  local_ = local;
  remote_ = remote;
}

Addr Stream::changing_address(const Addr& address) const {
  const std::lock_guard lock(address_mutex());
  return address;
}

void Stream::hold_requests() noexcept {
  Requests::Taken taken = requests_.take();
  append_requests(std::move(taken.list));
  wake_due_ = wake_due_ || taken.woken;
  if (is_closing()) cancel_opening();
}

void Stream::cancel_opening() noexcept {
  if (const OpeningPtr opening = std::move(extras_->opening)) opening->on_cancel();
}

void Stream::set_socket(FileDescriptor fd, bool registered) noexcept {
  EVIO_ASSERT(on_loop() && is_unopened());
  transport_ = Transport(std::move(fd));
  state_.interest = registered ? kAnothers : Interest::kNone;
  unix_ = remote_.port() == 0;
}

std::error_code Stream::watch(Interest interest) {
  if (state_.interest == interest) return {};
  Poller& poller = host_.loop_.poller();
  const auto err = state_.interest == Interest::kNone ? poller.add(transport_.fd(), interest, *this)
                                                      : poller.modify(transport_.fd(), interest, *this);
  if (!err) state_.interest = interest;
  return err;
}

void Stream::open(std::unique_ptr<TlsSession> tls) noexcept {
  EVIO_ASSERT(on_loop() && is_unopened());
  const OpeningPtr opening = std::move(extras_->opening);  // its caller may be part of it
  tls_ = tls != nullptr;
  extras_->tls = std::move(tls);
  if (tls_ || host_.announces()) state_.output |= kIndirect;
  if (abort_.load(std::memory_order_relaxed) == Abort::kAsked) state_.output |= kAborted;
  // release: who sees this sees the addresses, which stay as they are.
  addresses_known_.store(true, std::memory_order_release);
  run(Step::kOpened);
  if (is_open() && continues_) on_continue();
  // What dialed it is gone when this turn ends. It is watched again once what was asked of it has been done.
  if (state_.interest == kAnothers) unregister();
}

void Stream::open_adopted(FileDescriptor fd) noexcept {
  if (host_.loop_.shutting_down()) return end_unopened({});
  set_socket(std::move(fd), false);
  open();
}

void Stream::end_unopened(const Error& err) noexcept {
  EVIO_ASSERT(is_unopened());
  requests_.refuse();
  abort_.store(Abort::kTooLate, std::memory_order_relaxed);
  drop_requests();
  unregister();
  transport_.close();
  enter(Stage::kEnded);
  if (dialed_) host_.figures_.unreachable.add(1);
  if (dialed_ && host_.events_.unreachable) {
    try {
      host_.events_.unreachable(handle(), err);
    } catch (...) {
      host_.server_.fail();
    }
  }
  end_extras();
  context().reset();
  host_.server_.on_closed(*this);
  enter(Stage::kClosed);
  release_to_loop();
}

// Without a callback.
void Stream::end_handshake(bool reset) noexcept {
  EVIO_ASSERT(is_unopened());
  const OpeningPtr opening = std::move(extras_->opening);  // its caller is part of it
  extras_.reset();
  tls_ = true;  // what is still discarded is no user's input
  requests_.refuse();
  enter(Stage::kEnded);
  host_.server_.on_closed(*this);
  if (!reset && lingers() && transport_.end_output()) {
    begin_linger();
    return run(Step::kLinger);
  }
  if (reset && !is_unix()) {
    transport_.reset_on_close();
  } else {
    discard_input();
  }
  close_socket();
}

}  // namespace evio::internal
