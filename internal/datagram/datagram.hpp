#pragma once

#include <array>

#include "internal/base/syscalls.hpp"
#include "internal/datagram/datagram_port.hpp"
#include "internal/loop/endpoint.hpp"
#include "internal/net/socket_address.hpp"

namespace evio::internal {

class DatagramSocket;

/// Where one datagram came from and which of this host's addresses it was sent to; what an answer needs.
/// Thread-safety: a plain value.
struct DatagramRoute {
  SocketAddress peer;
  SocketAddress local;  // if there is ancillary data; without a port
  // Ancillary data (IP_PKTINFO or IPV6_PKTINFO, ip(7), ipv6(7)): the local address to send from. Empty: the socket's
  // own.
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in6_pktinfo))> control;
  std::size_t control_size = 0;

  /// Reads the ancillary data of a received message: the local address, and what `control` has to say in an answer.
  void read(msghdr& received);
  /// Makes `message` go back by this route.
  // sendmsg(2) only reads what these point to.
  void address(msghdr& message) const noexcept {
    message.msg_name = const_cast<sockaddr*>(&peer.any);
    message.msg_namelen = peer.size;
    message.msg_control = control_size == 0 ? nullptr : const_cast<char*>(control.data());
    message.msg_controllen = control_size;
  }

 private:
  void use(const in_pktinfo& info);
  void use(const in6_pktinfo& info);
};

/// The sender of one datagram, as a Conn is a handle of it. Its loop receives into it again while nobody has kept a
/// handle; after that it stays as it is. Its addresses are made when somebody asks for them.
/// Thread-safety: send() and the addresses any thread that has a handle; the rest its loop's thread.
class Datagram final : public Endpoint {
 public:
  Datagram(RefPtr<NoteQueue> queue, int addr_index, Addr bound, RefPtr<DatagramPort> port, DatagramSocket& socket)
      : Endpoint(0, std::move(queue), addr_index), bound_(std::move(bound)), port_(std::move(port)), socket_(&socket) {}

  bool wake() override { return false; }
  /// Sends at once, from the calling thread: only then can it say whether that was possible.
  bool send(Bytes bytes) override { return send_copy(bytes.view()); }
  bool send_copy(std::string_view bytes) override;
  bool close() override { return false; }
  Addr local() const override;
  Addr remote() const override { return route_.peer.to_addr(Network::kUdp); }

  using Endpoint::set_id;
  DatagramRoute& route() noexcept { return route_; }

 private:
  void set_context(std::unique_ptr<Context>) override {}
  // Nobody posts a note about a datagram.
  void on_request() noexcept override { EVIO_ASSERT(false); }
  void on_continue() noexcept override { EVIO_ASSERT(false); }
  void on_flush() noexcept override { EVIO_ASSERT(false); }
  void on_adopt(RefPtr<NoteTarget>) noexcept override { EVIO_ASSERT(false); }

  DatagramRoute route_;
  const Addr bound_;  // of its socket
  RefPtr<DatagramPort> port_;
  DatagramSocket* socket_;  // the loop's: for its own thread
};

}  // namespace evio::internal
