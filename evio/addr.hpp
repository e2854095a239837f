#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "evio/detail/ref_counted.hpp"

namespace evio {

namespace internal {
class AddrAccess;

/// The path of a unix socket, shared by the copies of its Addr.
struct SharedPath final : RefCounted {
  explicit SharedPath(std::string given) noexcept : text(std::move(given)) {}
  const std::string text;
};
}  // namespace internal

/// The address of a listener, or of one end of a connection. A default-constructed Addr is empty in every part.
/// Thread-safety: a plain value.
class Addr {
 public:
  /// An empty address.
  Addr() = default;

  /// "tcp", "udp" or "unix".
  std::string network() const;
  /// The address without its port: "127.0.0.1", "::1", "fe80::1%eth0". An IPv4 peer of a socket that serves both
  /// families (RFC 4291, 2.5.5.2) is shown as IPv4. Empty for a unix socket.
  std::string ip() const;
  /// The port; 0 for a unix socket.
  int port() const noexcept { return port_; }
  /// The path of a unix socket; empty if that end is not bound, which is usual for a client.
  /// An abstract name (unix(7)) begins with '@'.
  std::string path() const { return path_ ? path_->text : std::string(); }
  /// The form Go prints: "127.0.0.1:80", "[::1]:80", a path.
  std::string to_string() const;

  /// The same network, address, port and path.
  friend bool operator==(const Addr& a, const Addr& b) { return (a <=> b) == 0; }
  /// An arbitrary but fixed order, for sorted containers.
  friend std::strong_ordering operator<=>(const Addr& a, const Addr& b);

 private:
  friend class internal::AddrAccess;
  friend struct std::hash<Addr>;

  enum class Network : std::uint8_t { kNone, kTcp, kUdp, kUnix };

  std::array<unsigned char, 16> ip_{};  // IPv4: the first four
  std::uint32_t scope_ = 0;             // the interface of a link-local IPv6 address
  std::uint16_t port_ = 0;
  Network network_ = Network::kNone;
  bool is_v6_ = false;
  internal::RefPtr<internal::SharedPath> path_;
};

}  // namespace evio

// For unordered containers.
template <>
struct std::hash<evio::Addr> {
  std::size_t operator()(const evio::Addr& addr) const noexcept;
};
