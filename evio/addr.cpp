#include "evio/addr.hpp"

#include <arpa/inet.h>
#include <net/if.h>

#include <limits>
#include <string_view>
#include <tuple>

namespace evio {

std::string Addr::network() const {
  switch (network_) {
    case Network::kTcp:
      return "tcp";
    case Network::kUdp:
      return "udp";
    case Network::kUnix:
      return "unix";
    case Network::kNone:
      break;
  }
  return {};
}

std::string Addr::ip() const {
  if (network_ != Network::kTcp && network_ != Network::kUdp) return {};
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(is_v6_ ? AF_INET6 : AF_INET, ip_.data(), text.data(), text.size());
  std::string result = text.data();
  if (scope_ != 0) {
    std::array<char, IF_NAMESIZE> name{};
    result += '%';
    result += ::if_indextoname(scope_, name.data()) != nullptr ? std::string(name.data()) : std::to_string(scope_);
  }
  return result;
}

std::string Addr::to_string() const {
  switch (network_) {
    case Network::kTcp:
    case Network::kUdp:
      return (is_v6_ ? '[' + ip() + ']' : ip()) + ':' + std::to_string(port_);
    case Network::kUnix:
      return path();
    case Network::kNone:
      break;
  }
  return {};
}

std::strong_ordering operator<=>(const Addr& a, const Addr& b) {
  const auto numbers = [](const Addr& addr) {
    return std::tie(addr.network_, addr.is_v6_, addr.ip_, addr.scope_, addr.port_);
  };
  if (const auto by_number = numbers(a) <=> numbers(b); by_number != 0) return by_number;
  static const std::string kNone;
  return (a.path_ ? a.path_->text : kNone) <=> (b.path_ ? b.path_->text : kNone);
}

}  // namespace evio

std::size_t std::hash<evio::Addr>::operator()(const evio::Addr& addr) const noexcept {
  const std::string_view ip(reinterpret_cast<const char*>(addr.ip_.data()), addr.ip_.size());
  constexpr int kTopByte = std::numeric_limits<std::size_t>::digits - 8;
  std::size_t result = std::hash<std::string_view>()(ip) ^ (std::size_t{addr.port_} << 16) ^ addr.scope_ ^
                       (static_cast<std::size_t>(addr.network_) << kTopByte);
  if (addr.path_) result ^= std::hash<std::string>()(addr.path_->text);
  return result;
}
