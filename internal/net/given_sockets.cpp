#include "internal/net/given_sockets.hpp"

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "internal/base/syscalls.hpp"
#include "internal/net/systemd_sockets.hpp"

namespace evio::internal {
namespace {

std::string name_of(const AddressSpec& spec) { return "descriptor " + std::to_string(spec.descriptor); }

Error unusable(const AddressSpec& spec, std::string_view what) {
  return address_error(spec, std::make_error_code(std::errc::invalid_argument), name_of(spec) + std::string(what));
}

Error failed(const AddressSpec& spec, std::string_view call) {
  return call_error(spec, sys::last_error(), name_of(spec) + ": " + std::string(call));
}

Error inspect_stream(const AddressSpec& spec, int fd, int protocol) {
  if (protocol != 0 && protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP)
    return unusable(spec, " is a stream socket of another protocol than TCP");
  int listens = 0;
  if (sys::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, listens) != 0) return failed(spec, "getsockopt SO_ACCEPTCONN");
  return listens != 0 ? Error() : unusable(spec, " is a stream socket that does not listen");
}

Error inspect_datagram(const AddressSpec& spec, int fd, int protocol) {
  if (protocol != IPPROTO_UDP) return unusable(spec, " is a datagram socket of another protocol than UDP");
  SocketAddress bound;
  if (!bound.read_local(fd)) return failed(spec, "getsockname");
  const bool is_bound = (bound.family() == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port) != 0;
  return is_bound ? Error() : unusable(spec, " is a datagram socket that is not bound");
}

}  // namespace

Error GivenSockets::read(std::span<const std::string> addresses, std::vector<AddressSpec>& specs) {
  Error first;
  for (const std::string& address : addresses) {
    Error err = read_or_run_out(address, specs);
    if (err && !first) first = std::move(err);
  }
  return first;
}

// Those that follow are still to be closed.
Error GivenSockets::read_or_run_out(const std::string& address, std::vector<AddressSpec>& specs) try {
  return read(address, specs);
} catch (const std::bad_alloc&) {
  return Error(std::make_error_code(std::errc::not_enough_memory), "no memory");
}

Error GivenSockets::read(const std::string& address, std::vector<AddressSpec>& specs) {
  AddressSpec spec;
  Error err = parse_address(address, spec);
  Error missing;
  switch (spec.source) {
    case AddressSpec::Source::kMade:
      if (!err) specs.push_back(std::move(spec));
      return err;
    case AddressSpec::Source::kDescriptor:
      if (spec.descriptor >= 0) missing = add(std::move(spec), specs);
      break;
    case AddressSpec::Source::kSystemd:
      missing = add_all(spec, specs);
      break;
  }
  return err ? err : missing;
}

Error GivenSockets::add_all(const AddressSpec& spec, std::vector<AddressSpec>& specs) {
  std::vector<int> descriptors;
  if (auto err = find_systemd_sockets(spec, descriptors)) return err;
  Error first;
  for (const int descriptor : descriptors) {
    AddressSpec one = spec;
    one.descriptor = descriptor;
    Error err = add(std::move(one), specs);
    if (err && !first) first = std::move(err);
  }
  return first;
}

Error GivenSockets::add(AddressSpec spec, std::vector<AddressSpec>& specs) {
  if (std::ranges::find(sockets_, spec.descriptor, &FileDescriptor::get) != sockets_.end())
    return unusable(spec, " is given twice");
  if (sys::fcntl(spec.descriptor, F_GETFD, 0) == -1) return unusable(spec, " is not open");
  FileDescriptor socket(spec.descriptor);
  sockets_.push_back(std::move(socket));
  specs.push_back(std::move(spec));
  return {};
}

FileDescriptor GivenSockets::take(const AddressSpec& spec) noexcept {
  if (spec.source == AddressSpec::Source::kMade) return {};
  const auto socket = std::ranges::find(sockets_, spec.descriptor, &FileDescriptor::get);
  return socket == sockets_.end() ? FileDescriptor() : std::move(*socket);
}

Error inspect_given_socket(const AddressSpec& spec, int fd, Network& network) {
  int type = 0;
  int family = 0;
  int protocol = 0;
  if (sys::getsockopt(fd, SOL_SOCKET, SO_TYPE, type) != 0 || sys::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, family) != 0 ||
      sys::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, protocol) != 0)
    return errno == ENOTSOCK ? unusable(spec, " is not a socket") : failed(spec, "getsockopt");
  if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
    return unusable(spec, " is a socket of another family than IPv4, IPv6 and unix");
  if (type == SOCK_STREAM) {
    network = family == AF_UNIX ? Network::kUnix : Network::kTcp;
    return inspect_stream(spec, fd, protocol);
  }
  if (type != SOCK_DGRAM) return unusable(spec, " is neither a stream nor a datagram socket");
  if (family == AF_UNIX) return unusable(spec, " is a datagram socket of unix, which is not served");
  network = Network::kUdp;
  return inspect_datagram(spec, fd, protocol);
}

Error prepare_given_socket(const AddressSpec& spec, int fd) {
  const int flags = sys::fcntl(fd, F_GETFL, 0);
  if (flags == -1 || sys::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || sys::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
    return failed(spec, "fcntl");
  return {};
}

}  // namespace evio::internal
