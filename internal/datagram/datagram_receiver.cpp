#include "internal/datagram/datagram_receiver.hpp"

#include <cerrno>
#include <new>
#include <utility>

namespace evio::internal {

DatagramReceiver::DatagramReceiver(FileDescriptor fd, int addr_index, const Addr& addr, Loop& loop,
                                   const Events& events, ServerControl& server)
    : socket_(std::move(fd), addr_index, addr, loop.queue()), loop_(loop), events_(events), server_(server) {}

DatagramReceiver::~DatagramReceiver() { loop_.timers().disarm(resume_timer_); }

std::error_code DatagramReceiver::start() {
  interest_ = Interest::kRead;
  return loop_.poller().add(socket_.fd(), interest_, *this);
}

// A batch of datagrams, or the rest of the answers to the batch before.
void DatagramReceiver::on_ready() noexcept try {
  EVIO_ASSERT(loop_.on_thread());
  if (socket_.closed()) return;  // earlier in this turn
  if (socket_.blocked()) {
    socket_.answer();
  } else if (!loop_.shutting_down()) {
    receive_batch();
  }
  if (socket_.failed() != told_) tell_of_failure();
  if (!socket_.blocked()) socket_.recycle();
  update_interest();
} catch (const std::bad_alloc&) {
  socket_.drop_answers();  // no memory: it costs these datagrams
  socket_.recycle();
  pause();
}

void DatagramReceiver::receive_batch() {
  const std::size_t count = socket_.receive([this](std::size_t n) { return server_.next_ids(n); });
  const int err = errno;
  for (std::size_t i = 0; i != count && !loop_.shutting_down(); ++i) {
    deliver(i);
    // Answers wait for the end of the batch, but not for a pre_write that a send in a callback could not call.
    if (events_.pre_write) flush_replies();
  }
  flush_replies();
  if (count == 0 && (err == ENOMEM || err == ENOBUFS)) pause();
}

inline void DatagramReceiver::deliver(std::size_t i) noexcept {
  try {
    if (events_.data(socket_.conn(i), socket_.input(i), socket_.output(i)) == Action::Shutdown) server_.shut_down();
  } catch (...) {
    socket_.output(i).clear();  // an exception costs that datagram
  }
  socket_.mark_done(i);
}

void DatagramReceiver::flush_replies() {
  if (!socket_.has_answers()) return;
  try {
    if (events_.pre_write) events_.pre_write();
    socket_.answer();
  } catch (...) {
    server_.fail();
    socket_.drop_answers();
  }
}

void DatagramReceiver::tell_of_failure() noexcept try {
  told_ = socket_.failed();
  if (!events_.notice) return;
  const std::error_code code = socket_.last_failure();
  server_.notice(loop_.index(), Notice::DatagramFailed, code,
                 "sendmmsg udp " + socket_.bound().to_string() + ": " + code.message());
} catch (const std::bad_alloc&) {  // for the words
}

void DatagramReceiver::stop() noexcept {
  stopping_ = true;
  loop_.timers().disarm(resume_timer_);
  update_interest();  // it closes, or waits for room, even if it had paused
}

Interest DatagramReceiver::wanted_interest() const noexcept {
  if (resume_timer_.armed()) return Interest::kNone;
  return socket_.blocked() ? Interest::kWrite : Interest::kRead;
}

void DatagramReceiver::update_interest() noexcept {
  if (stopping_ && !socket_.blocked()) return close();
  const Interest wanted = wanted_interest();
  if (wanted == interest_ || wanted == Interest::kNone) return;
  Poller& poller = loop_.poller();
  const bool failed = static_cast<bool>(interest_ == Interest::kNone ? poller.add(socket_.fd(), wanted, *this)
                                                                     : poller.modify(socket_.fd(), wanted, *this));
  if (failed) return pause();
  interest_ = wanted;
}

// Not watched at all until then: a failure or a hang-up, which a poller always reports, would keep the loop busy.
void DatagramReceiver::pause() noexcept {
  unwatch();
  loop_.timers().arm(resume_timer_, Timer::Clock::now() + kPause);
}

void DatagramReceiver::resume(Timer::TimePoint) noexcept { update_interest(); }

void DatagramReceiver::unwatch() noexcept {
  if (interest_ != Interest::kNone) loop_.poller().remove(socket_.fd());
  interest_ = Interest::kNone;
}

void DatagramReceiver::close() noexcept {
  if (socket_.closed()) return;
  unwatch();
  socket_.close();
}

}  // namespace evio::internal
