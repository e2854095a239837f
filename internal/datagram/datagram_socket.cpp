#include "internal/datagram/datagram_socket.hpp"

#include <algorithm>

#include "internal/base/sanitizer.hpp"
#include "internal/buffer/bytes_access.hpp"
#include "internal/buffer/output_access.hpp"

namespace evio::internal {

DatagramSocket::DatagramSocket(FileDescriptor fd, int addr_index, Addr bound, RefPtr<NoteQueue> queue)
    : port_(new DatagramPort(std::move(fd))),
      addr_index_(addr_index),
      bound_(std::move(bound)),
      queue_(std::move(queue)) {
  for (Slot& slot : slots_) reallocate_input(slot);
}

void DatagramSocket::reallocate_input(Slot& slot) {
  RefPtr<Buffer> block = Buffer::make(kLargest);
  slot.block = block.get();
  slot.input = BytesAccess::make(slot.block->data(), 0, RefPtr<Storage>(block.detach()));
}

// Not if a handler has kept the previous datagram; and under AddressSanitizer never, so that a view that was kept is
// one of freed memory.
bool DatagramSocket::may_be_reused(const Slot& slot) noexcept {
  return kAddressSanitizer ? slot.block != nullptr : slot.block->unshared();
}

void DatagramSocket::drop_input([[maybe_unused]] Slot& slot) noexcept {
  if constexpr (kAddressSanitizer) {
    slot.block = nullptr;
    slot.input = {};
  }
}

std::size_t DatagramSocket::receive_raw() {
  for (std::size_t i = 0; i != kBatch; ++i) {
    Slot& slot = slots_[i];
    if (!may_be_reused(slot)) reallocate_input(slot);
    unpoison(slot.block->data(), kLargest);
    slot.room = {slot.block->data(), kLargest};
    msghdr& header = messages_[i].msg_hdr;
    header = {};
    header.msg_name = &slot.route.peer.any;
    header.msg_namelen = sizeof slot.route.peer.un;
    header.msg_iov = &slot.room;
    header.msg_iovlen = 1;
    header.msg_control = slot.control.data();
    header.msg_controllen = slot.control.size();
  }
  // An error, such as ICMP's word of a peer that is gone, concerns no datagram here; reading it has cleared it.
  const int count = sys::recvmmsg(fd(), messages_.data(), kBatch, MSG_DONTWAIT);
  count_ = count < 0 ? 0 : static_cast<std::size_t>(count);
  done_ = answered_ = 0;
  return count_;
}

// Gives each datagram of the batch its Conn and its input.
void DatagramSocket::name(std::size_t count, std::uint64_t first_id) {
  for (std::size_t i = 0; i != count; ++i) {
    Slot& slot = slots_[i];
    BytesAccess::set_range(slot.input, slot.block->data(), messages_[i].msg_len);
    poison(slot.block->data() + messages_[i].msg_len, kLargest - messages_[i].msg_len);
    slot.route.peer.size = messages_[i].msg_hdr.msg_namelen;
    Addr local = slot.route.read(messages_[i].msg_hdr, bound_);
    auto* const peer = static_cast<Datagram*>(EndpointAccess::endpoint(slot.self));
    if (peer != nullptr && peer->unshared()) {
      peer->reset(first_id + i, std::move(local), slot.route);
    } else {
      slot.self = EndpointAccess::handle(RefPtr<Endpoint>(
          new Datagram(first_id + i, queue_, addr_index_, std::move(local), slot.route, port_, *this)));
    }
  }
}

bool DatagramSocket::has_answers() const noexcept {
  return std::any_of(slots_.begin() + static_cast<std::ptrdiff_t>(answered_),
                     slots_.begin() + static_cast<std::ptrdiff_t>(done_),
                     [](const Slot& slot) { return !slot.output.empty(); });
}

void DatagramSocket::drop_answers() noexcept {
  for (; answered_ != done_; ++answered_) slots_[answered_].output.clear();
}

void DatagramSocket::mark_done(std::size_t i) noexcept {
  Slot& slot = slots_[i];
  if (slot.output.size() > kLargest) slot.output.clear();  // lost, as what is too large for a datagram is
  drop_input(slot);
  done_ = i + 1;
}

mmsghdr DatagramSocket::answer_of(Slot& slot) noexcept {
  mmsghdr message{};
  message.msg_hdr.msg_iov = slot.parts.data();
  message.msg_hdr.msg_iovlen = static_cast<std::size_t>(OutputAccess::gather(slot.output, slot.parts));
  slot.route.address(message.msg_hdr);
  return message;
}

Sent DatagramSocket::answer() noexcept {
  blocked_ = false;
  while (answered_ != done_) {
    std::array<mmsghdr, kBatch> answers;
    std::array<std::size_t, kBatch> from;
    unsigned count = 0;
    for (std::size_t i = answered_; i != done_; ++i) {
      if (slots_[i].output.empty()) continue;
      from[count] = i;
      answers[count++] = answer_of(slots_[i]);
    }
    if (count == 0) break;
    const int sent = sys::sendmmsg(fd(), answers.data(), count, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && sys::would_block(errno)) {
      blocked_ = true;
      return Sent::kBlocked;
    }
    // An answer that cannot be sent, being too large or to nowhere, is lost as datagrams are; those after it are not.
    const std::size_t last = sent < 0 ? 0 : static_cast<std::size_t>(sent) - 1;
    for (std::size_t i = 0; i <= last; ++i) slots_[from[i]].output.clear();
    answered_ = from[last] + 1;
  }
  answered_ = done_;
  return Sent::kAll;
}

void DatagramSocket::recycle() noexcept {
  for (std::size_t i = 0; i != count_; ++i) drop_input(slots_[i]);  // some may have had no callback
  count_ = done_ = answered_ = 0;
}

bool DatagramSocket::send(const msghdr& message) noexcept {
  if (closed_ || (has_answers() && answer() == Sent::kBlocked)) return false;
  return port_->send(message);
}

}  // namespace evio::internal
