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
  for (std::size_t i = 0; i != kBatch; ++i) {
    messages_[i].msg_hdr.msg_iov = &slots_[i].room;
    messages_[i].msg_hdr.msg_iovlen = 1;
    messages_[i].msg_hdr.msg_control = slots_[i].control.data();
    reallocate_input(slots_[i]);
    renew_sender(i);
  }
}

void DatagramSocket::reallocate_input(Slot& slot) {
  RefPtr<Buffer> block = Buffer::make(kLargest);
  slot.block = block.get();
  slot.input = BytesAccess::make(slot.block->data(), 0, RefPtr<Storage>(block.detach()));
  slot.room = {slot.block->data(), kLargest};
}

void DatagramSocket::renew_sender(std::size_t i) {
  Slot& slot = slots_[i];
  slot.sender = RefPtr<Datagram>(new Datagram(queue_, addr_index_, bound_, port_, *this));
  slot.sender->retain();
  slot.handle = EndpointAccess::handle(RefPtr<Endpoint>(slot.sender.get()));
  messages_[i].msg_hdr.msg_name = &slot.sender->route().peer.any;
}

// Not if a handler has kept the previous datagram; and under AddressSanitizer never, so that a view that was kept is
// one of freed memory.
bool DatagramSocket::may_reuse_input(const Slot& slot) noexcept {
  return kAddressSanitizer ? slot.block != nullptr : slot.block->unshared();
}

// Not if a handler has kept a handle of it, or has assigned to the one it got.
bool DatagramSocket::may_reuse_sender(const Slot& slot) noexcept {
  constexpr std::uint32_t kOwn = 2;  // this one and the handle
  return EndpointAccess::endpoint(slot.handle) == slot.sender.get() && slot.sender->unshared(kOwn);
}

// The kernel receives right into what the callback gets.
void DatagramSocket::prepare(std::size_t i) {
  Slot& slot = slots_[i];
  if (!may_reuse_input(slot)) reallocate_input(slot);
  if (!may_reuse_sender(slot)) renew_sender(i);
  unpoison(slot.block->data(), kLargest);
  messages_[i].msg_hdr.msg_namelen = sizeof(sockaddr_un);
  messages_[i].msg_hdr.msg_controllen = slot.control.size();
}

[[gnu::flatten]] std::size_t DatagramSocket::receive_raw() {
  for (; used_ != 0; --used_) prepare(used_ - 1);
  // An error, such as ICMP's word of a peer that is gone, concerns no datagram here; reading it has cleared it.
  const int count = sys::recvmmsg(fd(), messages_.data(), kBatch, MSG_DONTWAIT);
  count_ = used_ = count < 0 ? 0 : static_cast<std::size_t>(count);
  queue_->figures().datagrams_read.add(count_);
  done_ = answered_ = 0;
  return count_;
}

// Gives each datagram of the batch its number and its input.
void DatagramSocket::name(std::size_t count, std::uint64_t first_id) {
  for (std::size_t i = 0; i != count; ++i) {
    Slot& slot = slots_[i];
    msghdr& header = messages_[i].msg_hdr;
    BytesAccess::set_range(slot.input, slot.block->data(), messages_[i].msg_len);
    poison(slot.block->data() + messages_[i].msg_len, kLargest - messages_[i].msg_len);
    slot.sender->set_id(first_id + i);
    DatagramRoute& route = slot.sender->route();
    route.peer.size = header.msg_namelen;
    route.control_size = 0;
    if (header.msg_controllen != 0) route.read(header);
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

void DatagramSocket::address_answer(Slot& slot, msghdr& header) noexcept {
  if (OutputAccess::is_one_copy(slot.output)) [[likely]] {
    const std::string_view text = OutputAccess::copied(slot.output);
    slot.parts[0] = {const_cast<char*>(text.data()), text.size()};
    header.msg_iovlen = 1;
  } else {
    header.msg_iovlen = static_cast<std::size_t>(OutputAccess::gather(slot.output, slot.parts));
  }
  header.msg_iov = slot.parts.data();
  slot.sender->route().address(header);
}

// An answer that is too large for any datagram.
void DatagramSocket::lose(Slot& slot) noexcept {
  slot.output.clear();
  last_failure_ = {EMSGSIZE, std::system_category()};
  ++failed_;
  queue_->figures().count_datagrams(0, 1);
}

[[gnu::flatten]] Sent DatagramSocket::answer() noexcept {
  blocked_ = false;
  while (answered_ != done_) {
    std::array<std::size_t, kBatch> from;
    unsigned count = 0;
    for (std::size_t i = answered_; i != done_; ++i) {
      if (slots_[i].output.empty()) continue;
      from[count] = i;
      address_answer(slots_[i], answers_[count++].msg_hdr);
    }
    if (count == 0) break;
    const int sent = sys::sendmmsg(fd(), answers_.data(), count, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && sys::would_block(errno)) {
      blocked_ = true;
      return Sent::kBlocked;
    }
    if (sent < 0) {
      last_failure_ = sys::last_error();
      ++failed_;
    }
    queue_->figures().count_datagrams(sent < 0 ? 0 : static_cast<std::uint64_t>(sent), sent < 0 ? 1 : 0);
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
