#include "internal/net/listener.hpp"

#include <iterator>
#include <string>
#include <utility>

#include "internal/base/syscalls.hpp"
#include "internal/net/given_sockets.hpp"
#include "internal/net/resolver.hpp"

namespace evio::internal {
namespace {

// How many ports are tried until one is free at all addresses of a name.
constexpr int kTries = 16;

struct SocketOption {
  int level;
  int name;
  int value;
  const char* text;
};

Error set_options(const AddressSpec& spec, int fd, std::span<const SocketOption> options) {
  for (const SocketOption& option : options) {
    if (sys::setsockopt(fd, option.level, option.name, option.value) != 0)
      return call_error(spec, sys::last_error(), std::string("setsockopt ") + option.text);
  }
  return {};
}

// Without it a restarted server waits for its old connections' TIME_WAIT. For UDP it would let two servers share a
// port.
constexpr SocketOption kReuseAddress{SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"};

// Accepted sockets inherit these, which saves the system calls for each.
constexpr SocketOption kTcpOptions[] = {
    {IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY"},
    // Urgent data stays in its place: without it read(2) leaves out a byte of the stream.
    {SOL_SOCKET, SO_OOBINLINE, 1, "SO_OOBINLINE"},
};

// A datagram socket that serves every local address learns from each datagram which one it was sent to.
Error ask_for_local_address(const AddressSpec& spec, int fd, int family) {
  // On a socket of both families the first tells of IPv4's datagrams.
  constexpr SocketOption kOptions[] = {{IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO"},
                                       {IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO"}};
  return set_options(spec, fd, std::span(kOptions).first(family == AF_INET6 ? 2 : 1));
}

}  // namespace

Error Listener::open(const AddressSpec& spec, FileDescriptor given, int loops) {
  proxy_ = spec.proxy;
  if (given.valid()) return open_given(spec, std::move(given));
  network_ = spec.network;
  reuse_port_ = spec.reuse_port;
  tls_ = spec.tls;
  return network_ == Network::kUnix ? open_unix(spec) : open_internet(spec, loops);
}

// shutdown(2) stops all copies of the socket from listening, close(2) only this process's. Each datagram socket belongs
// to one loop, which closes it.
void Listener::refuse_newcomers(bool handed_over) noexcept {
  if (network_ == Network::kUdp || given_) return;
  if (handed_over) return file_.keep();
  file_ = {};  // first: who is refused finds that the path is gone
  for (const Socket& socket : sockets_) sys::shutdown(socket.fd.get(), SHUT_RDWR);
}

void Listener::close() noexcept {
  for (Socket& socket : sockets_) socket.fd.close();
}

Error Listener::open_given(const AddressSpec& spec, FileDescriptor fd) {
  given_ = true;
  if (auto err = inspect_given_socket(spec, fd.get(), network_)) return err;
  if (spec.proxy && network_ == Network::kUdp)
    return address_error(spec, std::make_error_code(std::errc::invalid_argument), "proxy is not for udp sockets");
  if (auto err = prepare_given_socket(spec, fd.get())) return err;
  SocketAddress bound;
  if (!bound.read_local(fd.get())) return call_error(spec, sys::last_error(), "getsockname");
  if (network_ == Network::kTcp) {
    // Multipath TCP has not all of them.
    auto err = set_options(spec, fd.get(), kTcpOptions);
    if (err && err.code() != std::errc::operation_not_supported) return err;
  }
  // Datagrams that are queued already carry no destination address.
  if (network_ == Network::kUdp && bound.is_wildcard()) {
    if (auto err = ask_for_local_address(spec, fd.get(), bound.family())) return err;
  }
  return add(spec, fd, bound.is_wildcard(), kEveryLoop);
}

Error Listener::open_unix(const AddressSpec& spec) {
  const SocketAddress address = SocketAddress::unix_path(spec.path);
  std::string path;
  if (auto err = locate(spec, path)) return err;
  StartLock lock;  // until the socket listens, or is gone
  if (!path.empty()) {
    if (auto err = lock.acquire(spec, path)) return err;
    if (auto err = clear_path(spec, path)) return err;
  }
  FileDescriptor fd(sys::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return call_error(spec, sys::last_error(), "socket");
  SocketFile file;  // destroyed before the socket: see there
  if (sys::bind(fd.get(), &address.any, address.size) != 0) return call_error(spec, sys::last_error(), "bind");
  if (!path.empty()) {
    if (auto err = file.take_charge(spec, std::move(path))) return err;
    // Before it listens: until then nobody can connect.
    if (auto err = file.set_mode(spec)) return err;
  }
  if (auto err = listen(spec, fd, address, kEveryLoop)) return err;
  file_ = std::move(file);
  return {};
}

Error Listener::open_internet(const AddressSpec& spec, int loops) {
  std::vector<SocketAddress> addresses;
  if (auto err = resolve(spec, addresses)) return err;
  // A name's IPv4 address has a socket of its own: where it is 0.0.0.0, a "::" for both families would be in its way.
  v6_only_ = spec.family == AddressSpec::Family::kV6 || addresses.size() > 1;
  // Where any port will do, the one that the kernel chose for the first address may be taken at another.
  for (int left = spec.port == 0 ? kTries : 1;; --left) {
    auto err = open_all(spec, addresses, loops);
    if (left == 1 || err.code() != std::errc::address_in_use) return err;
    sockets_.clear();
  }
}

Error Listener::open_all(const AddressSpec& spec, std::span<const SocketAddress> addresses, int loops) {
  Error first;
  for (SocketAddress address : addresses) {
    // All sockets of one address have one port: that of the first, where any will do.
    const auto port = htons(static_cast<std::uint16_t>(sockets_.empty() ? spec.port : addr().port()));
    (address.family() == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port) = port;
    auto err = open_group(spec, address, reuse_port_ ? loops : 1);
    // A name may have an address that this machine does not have, such as ::1 where IPv6 is off.
    const bool absent = err.code() == std::errc::address_not_available || is_family_absent(err.code());
    if (absent && addresses.size() > 1) {
      if (!first) first = std::move(err);
    } else if (err) {
      return err;
    }
  }
  return sockets_.empty() ? first : Error();
}

Error Listener::open_group(const AddressSpec& spec, SocketAddress address, int copies) {
  for (int loop = 0; loop != copies; ++loop) {
    if (auto err = open_socket(spec, address, reuse_port_ ? loop : kEveryLoop)) {
      if (loop == 0) return err;
      return Error(err.code(), err.message() + ", for loop " + std::to_string(loop) + " of " + std::to_string(copies));
    }
    if (!address.read_local(sockets_.back().fd.get())) return call_error(spec, sys::last_error(), "getsockname");
  }
  if (network_ == Network::kUdp && copies > 1) forget_early_datagrams();
  return {};
}

// While the group was growing the kernel spread the peers over fewer sockets: what arrived then could be
// overtaken by what the same peer sends now.
void Listener::forget_early_datagrams() {
  constexpr int kMost = 50'000;  // more than wait anywhere; no flood may hold up the start for ever
  char byte = 0;
  for (const Socket& socket : sockets_) {
    for (int left = kMost; left != 0 && sys::read(socket.fd.get(), &byte, 1) >= 0; --left) {
    }
  }
}

Error Listener::open_socket(const AddressSpec& spec, const SocketAddress& address, int loop) {
  FileDescriptor fd(sys::socket(address.family(), socket_type(network_) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return call_error(spec, sys::last_error(), "socket");
  std::vector<SocketOption> options;
  if (network_ == Network::kTcp) {
    options.assign(std::begin(kTcpOptions), std::end(kTcpOptions));
    options.push_back(kReuseAddress);
  }
  if (reuse_port_) options.push_back({SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT"});
  if (address.family() == AF_INET6) options.push_back({IPPROTO_IPV6, IPV6_V6ONLY, v6_only_ ? 1 : 0, "IPV6_V6ONLY"});
  if (auto err = set_options(spec, fd.get(), options)) return err;
  // Must precede bind(): a datagram queued in between would carry no destination address.
  if (network_ == Network::kUdp && address.is_wildcard()) {
    if (auto err = ask_for_local_address(spec, fd.get(), address.family())) return err;
  }
  if (sys::bind(fd.get(), &address.any, address.size) != 0) return call_error(spec, sys::last_error(), "bind");
  return listen(spec, fd, address, loop);
}

// Takes the descriptor when it succeeds.
Error Listener::listen(const AddressSpec& spec, FileDescriptor& fd, const SocketAddress& address, int loop) {
  if (network_ != Network::kUdp && sys::listen(fd.get(), spec.backlog > 0 ? spec.backlog : SOMAXCONN) != 0)
    return call_error(spec, sys::last_error(), "listen");
  return add(spec, fd, address.is_wildcard(), loop);
}

// The same.
Error Listener::add(const AddressSpec& spec, FileDescriptor& fd, bool is_wildcard, int loop) {
  SocketAddress bound;
  if (!bound.read_local(fd.get())) return call_error(spec, sys::last_error(), "getsockname");
  sockets_.push_back({std::move(fd), bound.to_addr(network_), is_wildcard, loop});
  return {};
}

}  // namespace evio::internal
