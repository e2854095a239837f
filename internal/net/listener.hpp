#pragma once

#include <optional>
#include <span>
#include <vector>

#include "evio/addr.hpp"
#include "evio/error.hpp"
#include "internal/base/file_descriptor.hpp"
#include "internal/net/address_spec.hpp"
#include "internal/net/unix_path.hpp"

namespace evio::internal {

/// One address being listened on: all its sockets. A name with addresses of both families has a socket for each; with
/// reuseport each loop has sockets of its own; a given socket is the only one. Thread-safety: one thread;
/// refuse_newcomers() may run while loops accept.
class Listener {
 public:
  struct Socket {
    FileDescriptor fd;
    Addr addr;
    bool is_wildcard = false;
    int loop = kEveryLoop;
  };
  static constexpr int kEveryLoop = -1;

  Listener() = default;

  /// Binds and listens, or takes the socket that was given. An error names the address and leaves nothing open.
  Error open(const AddressSpec& spec, FileDescriptor given, int loops);
  /// Connecting fails from now on, and a unix path is free again, unless others may be listening on the same socket
  /// because it was given or handed over. Loops may still watch the sockets.
  void refuse_newcomers(bool handed_over) noexcept;
  /// Closes the sockets.
  void close() noexcept;

  Network network() const noexcept { return network_; }
  /// What the address has become: with the real port.
  const Addr& addr() const noexcept { return sockets_.front().addr; }
  std::vector<Socket>& sockets() noexcept { return sockets_; }
  bool reuse_port() const noexcept { return reuse_port_; }
  bool given() const noexcept { return given_; }
  bool tls() const noexcept { return tls_; }
  std::optional<ProxyVersions> proxy() const noexcept { return proxy_; }

 private:
  Error open_given(const AddressSpec& spec, FileDescriptor fd);
  Error open_unix(const AddressSpec& spec);
  Error open_internet(const AddressSpec& spec, int loops);
  Error open_all(const AddressSpec& spec, std::span<const SocketAddress> addresses, int loops);
  Error open_group(const AddressSpec& spec, SocketAddress address, int copies);
  void forget_early_datagrams();
  Error open_socket(const AddressSpec& spec, const SocketAddress& address, int loop);
  Error listen(const AddressSpec& spec, FileDescriptor& fd, const SocketAddress& address, int loop);
  Error add(const AddressSpec& spec, FileDescriptor& fd, bool is_wildcard, int loop);

  Network network_ = Network::kTcp;
  bool given_ = false;
  bool reuse_port_ = false;
  bool tls_ = false;
  std::optional<ProxyVersions> proxy_;
  bool v6_only_ = false;
  std::vector<Socket> sockets_;
  SocketFile file_;  // destroyed before the sockets: see there
};

}  // namespace evio::internal
