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
  // Ancillary data (IP_PKTINFO or IPV6_PKTINFO, ip(7), ipv6(7)): the local address to send from. Empty: the socket's
  // own.
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in6_pktinfo))> control;
  std::size_t control_size = 0;

  /// Reads the ancillary data of a received message: what `control` has to say in an answer, and the local address.
  Addr read(msghdr& received, const Addr& bound);
  /// Makes `message` go back by this route.
  void address(msghdr& message) noexcept;

 private:
  void use(const in_pktinfo& info, SocketAddress& local);
  void use(const in6_pktinfo& info, SocketAddress& local);
};

/// The sender of one datagram, as a Conn is a handle of it.
/// Thread-safety: send() any thread; the rest belongs to the loop until the first handle is kept, then it stays as it
/// is.
class Datagram final : public Endpoint {
 public:
  Datagram(std::uint64_t id, RefPtr<NoteQueue> queue, int addr_index, Addr local, const DatagramRoute& route,
           RefPtr<DatagramPort> port, DatagramSocket& socket)
      : Endpoint(id, std::move(queue), addr_index, std::move(local), route.peer.to_addr(Network::kUdp)),
        route_(route),
        port_(std::move(port)),
        socket_(&socket) {}

  bool wake() override { return false; }
  /// Sends at once, from the calling thread: only then can it say whether that was possible.
  bool send(Bytes bytes) override { return send_copy(bytes.view()); }
  bool send_copy(std::string_view bytes) override;
  bool close() override { return false; }

  /// For the next datagram, when nobody has kept a handle of this one.
  void reset(std::uint64_t id, Addr local, const DatagramRoute& route);
  DatagramRoute& route() noexcept { return route_; }

 private:
  void set_context(std::unique_ptr<Context>) override {}
  // Nobody posts a note about a datagram.
  void on_request() noexcept override { EVIO_ASSERT(false); }
  void on_flush() noexcept override { EVIO_ASSERT(false); }
  void on_adopt(RefPtr<NoteTarget>) noexcept override { EVIO_ASSERT(false); }

  DatagramRoute route_;
  RefPtr<DatagramPort> port_;
  DatagramSocket* socket_;  // the loop's: for its own thread
};

}  // namespace evio::internal
