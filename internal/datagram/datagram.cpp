#include "internal/datagram/datagram.hpp"

#include <cstring>
#include <span>

#include "internal/datagram/datagram_socket.hpp"

namespace evio::internal {
namespace {

// Puts one ancillary message into `control`; returns its size.
template <class Info>
std::size_t put_control(std::span<char> control, int level, int type, const Info& info) noexcept {
  msghdr message{};
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(sizeof info);
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(sizeof info);
  std::memcpy(CMSG_DATA(header), &info, sizeof info);
  return CMSG_SPACE(sizeof info);
}

}  // namespace

void DatagramRoute::read(msghdr& received) {
  control_size = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&received); header != nullptr; header = CMSG_NXTHDR(&received, header)) {
    if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(header), sizeof info);
      use(info);
      break;  // a socket of both families gives the other one too, which cannot answer a broadcast
    }
    if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(header), sizeof info);
      use(info);
    }
  }
}

// ipi_addr is the address the datagram came to; ipi_spec_dst the same or, as nothing can be sent from a broadcast
// address, this host's own.
void DatagramRoute::use(const in_pktinfo& info) {
  local.v4 = {};
  local.v4.sin_family = AF_INET;
  local.v4.sin_addr = info.ipi_addr;
  in_pktinfo answer{};
  answer.ipi_spec_dst = info.ipi_spec_dst;
  control_size = put_control(control, IPPROTO_IP, IP_PKTINFO, answer);
}

void DatagramRoute::use(const in6_pktinfo& info) {
  local.v6 = {};
  local.v6.sin6_family = AF_INET6;
  local.v6.sin6_addr = info.ipi6_addr;
  if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) local.v6.sin6_scope_id = info.ipi6_ifindex;
  in6_pktinfo answer{};
  // Elsewhere routing chooses the interface; and nothing can be sent from a group's address: routing chooses that too.
  answer.ipi6_ifindex = local.v6.sin6_scope_id;
  if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr)) {
    answer.ipi6_ifindex = info.ipi6_ifindex;
  } else {
    answer.ipi6_addr = info.ipi6_addr;
  }
  control_size = put_control(control, IPPROTO_IPV6, IPV6_PKTINFO, answer);
}

bool Datagram::send_copy(std::string_view bytes) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  route_.address(message);
  const bool sent = queue().on_loop_thread() ? socket_->send(message) : port_->send(message);
  queue().figures().count_datagrams(sent ? 1 : 0, sent ? 0 : 1);
  return sent;
}

Addr Datagram::local() const {
  if (route_.control_size == 0) return bound_;
  SocketAddress local = route_.local;
  const in_port_t port = htons(static_cast<in_port_t>(bound_.port()));
  (local.family() == AF_INET ? local.v4.sin_port : local.v6.sin6_port) = port;
  return local.to_addr(Network::kUdp);
}

}  // namespace evio::internal
