#include "internal/loop/loop.hpp"

namespace evio::internal {

std::error_code Loop::receive(FileDescriptor fd, int addr_index, const Addr& addr) {
  auto& socket = *datagrams_.emplace_back(std::make_unique<DatagramSocket>(std::move(fd), addr_index, addr, queue_));
  socket.interest = Interest::kRead;
  return poller_->add(socket.fd(), Interest::kRead, static_cast<Source*>(&socket));
}

// A batch of datagrams, one data call each, or the rest of the answers to the batch before.
void Loop::read_datagrams(DatagramSocket& socket) try {
  if (socket.blocked()) {
    socket.answer();
  } else {
    if (stopping_) return watch(socket);  // it is done, and not to be heard of again
    const std::size_t count = socket.receive([this](std::size_t n) { return server_.next_ids(n); });
    for (std::size_t i = 0; i != count && !server_.shutting_down(); ++i) {
      hear_datagram(socket, i);
      // Answers wait for the end of the batch, but not for a pre_write that `send` in a callback could not call.
      if (events_.pre_write) answer(socket);
    }
    answer(socket);
    if (count == 0 && (errno == ENOMEM || errno == ENOBUFS)) pause(socket);
  }
  if (!socket.blocked()) socket.recycle();
  watch(socket);
} catch (const std::bad_alloc&) {
  socket.drop_answers();  // no memory: it costs these datagrams
  socket.recycle();
  pause(socket);
}

// Not watched at all meanwhile: what a poller always reports, a failure or a hang-up, would keep the loop busy.
void Loop::pause(DatagramSocket& socket) {
  forget(socket);
  socket.resume_at = Clock::now() + kPause;
  next_resume_ = std::min(next_resume_, socket.resume_at);
}

void Loop::forget(DatagramSocket& socket) {
  if (socket.interest != Interest::kUnregistered) poller_->remove(socket.fd());
  socket.interest = Interest::kUnregistered;
}

void Loop::retire(DatagramSocket& socket) {
  if (socket.closed()) return;
  forget(socket);
  socket.close();
}

void Loop::hear_datagram(DatagramSocket& socket, std::size_t i) {
  try {
    Conn conn = socket.conn(i);  // a copy: the callback may assign to it
    if (events_.data && events_.data(conn, socket.input(i), socket.output(i)) == Action::Shutdown) server_.shut_down();
  } catch (...) {
    socket.output(i).clear();  // an exception costs that datagram
  }
  socket.handled(i);
}

void Loop::answer(DatagramSocket& socket) {
  if (!socket.has_answers()) return;
  if (announce()) {
    socket.answer();
  } else {
    socket.drop_answers();
  }
}

void Loop::watch(DatagramSocket& socket) {
  if (stopping_ && !socket.blocked()) return retire(socket);
  if (socket.resume_at != kNever) return;  // paused
  const Interest interest = socket.blocked() ? Interest::kWrite : Interest::kRead;
  if (interest == socket.interest) return;
  const bool known = socket.interest != Interest::kUnregistered;
  Source* const tag = &socket;
  const auto failed = known ? poller_->modify(socket.fd(), interest, tag) : poller_->add(socket.fd(), interest, tag);
  if (failed) return pause(socket);
  socket.interest = interest;
}

}  // namespace evio::internal
