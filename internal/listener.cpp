#include "internal/listener.hpp"

#include <netdb.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "internal/syscalls.hpp"

namespace evio::internal {
namespace {

using Family = AddressSpec::Family;

// How many ports are tried until one is free at all addresses of a name.
constexpr int kTries = 16;

int socket_type(Network network) { return network == Network::kUdp ? SOCK_DGRAM : SOCK_STREAM; }

SocketAddress wildcard(int family, std::uint16_t port) {
  SocketAddress address;
  address.any.sa_family = static_cast<sa_family_t>(family);
  (family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port) = htons(port);
  address.size = family == AF_INET6 ? sizeof address.v6 : sizeof address.v4;
  return address;
}

// False on a machine without IPv6.
bool has_ipv6() { return FileDescriptor(sys::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)).valid(); }

// The addresses to bind: of a name the first of each family, as its clients may try either; IPv4 first, as Go prefers
// it.
Error resolve(const AddressSpec& spec, std::vector<SocketAddress>& addresses) {
  if (spec.host.empty()) {
    const bool v4 = spec.family == Family::kV4 || (spec.family == Family::kBoth && !has_ipv6());
    addresses.push_back(wildcard(v4 ? AF_INET : AF_INET6, spec.port));
    return {};
  }
  addrinfo hints{};
  hints.ai_family = spec.family == Family::kV4 ? AF_INET : spec.family == Family::kV6 ? AF_INET6 : AF_UNSPEC;
  hints.ai_socktype = socket_type(spec.network);
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int err = ::getaddrinfo(spec.host.c_str(), std::to_string(spec.port).c_str(), &hints, &found);
  if (err != 0) {
    const std::error_code code = err == EAI_SYSTEM ? sys::last_error() : std::error_code(err, resolver_category());
    return with_likely_address(call_error(spec, code, "resolve"), spec.text);
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  for (const int family : {AF_INET, AF_INET6}) {
    for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
      if (info->ai_family != family) continue;
      addresses.push_back(SocketAddress::from(info->ai_addr, info->ai_addrlen));
      break;
    }
  }
  return {};
}

// Before a path is bound: only a socket that nobody listens on may be removed from it.
Error clear_path(const AddressSpec& spec, const SocketAddress& address) {
  struct stat info {};
  if (spec.path.front() == '@' || sys::lstat(spec.path.c_str(), &info) != 0) return {};
  const auto in_use = std::make_error_code(std::errc::address_in_use);
  if (!S_ISSOCK(info.st_mode)) return address_error(spec, in_use, "the path exists and is not a socket");
  const FileDescriptor probe(sys::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) return call_error(spec, sys::last_error(), "socket");
  if (sys::connect(probe.get(), &address.any, address.size) == 0 || errno != ECONNREFUSED)
    return address_error(spec, in_use, "the socket is in use");
  if (sys::unlink(spec.path.c_str()) != 0) return call_error(spec, sys::last_error(), "unlink");
  return {};
}

// A socket that serves every local address learns from each datagram which one it was sent to.
void ask_for_local_address(int fd, int family) {
  if (family == AF_INET6) sys::setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  sys::setsockopt(fd, IPPROTO_IP, IP_PKTINFO, 1);  // on a socket of both families it tells of IPv4's datagrams
}

}  // namespace

SocketFile::SocketFile(std::string path) {
  struct stat info {};
  if (sys::lstat(path.c_str(), &info) == 0) {
    device_ = info.st_dev;
    inode_ = info.st_ino;
  }
  path_ = std::move(path);
}

SocketFile::SocketFile(SocketFile&& other) noexcept
    : path_(std::exchange(other.path_, {})), device_(other.device_), inode_(other.inode_) {}

SocketFile& SocketFile::operator=(SocketFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  return *this;
}

SocketFile::~SocketFile() {
  struct stat info {};
  if (path_.empty() || sys::lstat(path_.c_str(), &info) != 0) return;
  const bool unknown = inode_ == 0 && S_ISSOCK(info.st_mode);
  if (unknown || (info.st_dev == device_ && info.st_ino == inode_)) sys::unlink(path_.c_str());
}

Error Listener::open(const AddressSpec& spec, int loops) {
  network_ = spec.network;
  reuse_port_ = spec.reuse_port;
  return network_ == Network::kUnix ? open_unix(spec) : open_internet(spec, loops);
}

// shutdown(2) ends the listening of every copy of the socket, close(2) of this process' alone. Datagram sockets belong
// to one loop each, which closes them.
void Listener::refuse_newcomers() noexcept {
  if (network_ == Network::kUdp) return;
  for (const Socket& socket : sockets_) sys::shutdown(socket.fd.get(), SHUT_RDWR);
  file_ = {};
}

void Listener::close() noexcept {
  for (Socket& socket : sockets_) socket.fd.close();
}

Error Listener::open_unix(const AddressSpec& spec) {
  const SocketAddress address = SocketAddress::unix_path(spec.path);
  if (auto err = clear_path(spec, address)) return err;
  FileDescriptor fd(sys::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return call_error(spec, sys::last_error(), "socket");
  std::string path = spec.path;  // now: when the file is there, nothing may keep it from being taken charge of
  if (sys::bind(fd.get(), &address.any, address.size) != 0) return call_error(spec, sys::last_error(), "bind");
  if (path.front() != '@') file_ = SocketFile(std::move(path));
  return listen(spec, std::move(fd), address, kEveryLoop);
}

Error Listener::open_internet(const AddressSpec& spec, int loops) {
  std::vector<SocketAddress> addresses;
  if (auto err = resolve(spec, addresses)) return err;
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
    // A name may have an address that this machine has not, as ::1 where IPv6 is off.
    const bool absent =
        err.code() == std::errc::address_not_available || err.code() == std::errc::address_family_not_supported;
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

// While the group was growing the kernel spread the peers over fewer sockets: what has come meanwhile could be
// overtaken by what the same peer sends now.
void Listener::forget_early_datagrams() {
  char byte = 0;
  for (const Socket& socket : sockets_) {
    while (sys::read(socket.fd.get(), &byte, 1) >= 0) {
    }
  }
}

Error Listener::open_socket(const AddressSpec& spec, const SocketAddress& address, int loop) {
  FileDescriptor fd(sys::socket(address.family(), socket_type(network_) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return call_error(spec, sys::last_error(), "socket");
  // Without it a restarted server waits for its old connections' TIME_WAIT. For UDP it would let two servers share a
  // port.
  if (network_ == Network::kTcp) sys::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (reuse_port_ && sys::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1) != 0)
    return call_error(spec, sys::last_error(), "setsockopt SO_REUSEPORT");
  if (address.family() == AF_INET6)
    sys::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, spec.family == Family::kV6 ? 1 : 0);
  // Before bind: what came in between would not tell.
  if (network_ == Network::kUdp && address.is_wildcard()) ask_for_local_address(fd.get(), address.family());
  if (sys::bind(fd.get(), &address.any, address.size) != 0) return call_error(spec, sys::last_error(), "bind");
  // Accepted sockets inherit it, which saves a system call for each.
  if (network_ == Network::kTcp) sys::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  return listen(spec, std::move(fd), address, loop);
}

Error Listener::listen(const AddressSpec& spec, FileDescriptor fd, const SocketAddress& address, int loop) {
  if (network_ != Network::kUdp && sys::listen(fd.get(), SOMAXCONN) != 0)
    return call_error(spec, sys::last_error(), "listen");
  SocketAddress bound;
  if (!bound.read_local(fd.get())) return call_error(spec, sys::last_error(), "getsockname");
  sockets_.push_back({std::move(fd), bound.to_addr(network_), address.is_wildcard(), loop});
  return {};
}

}  // namespace evio::internal
