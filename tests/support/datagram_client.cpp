#include "tests/support/datagram_client.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tests/support/timing.hpp"

namespace evio::test {

struct DatagramClient::Address {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }

  static Address of(const std::string& ip, int port) {
    Address result;
    if (ip.find(':') == std::string::npos) {
      sockaddr_in v4{};
      v4.sin_family = AF_INET;
      v4.sin_port = htons(static_cast<std::uint16_t>(port));
      EXPECT_EQ(::inet_pton(AF_INET, ip.c_str(), &v4.sin_addr), 1) << ip;
      result.put(v4);
    } else {
      const auto percent = ip.find('%');
      sockaddr_in6 v6{};
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(static_cast<std::uint16_t>(port));
      EXPECT_EQ(::inet_pton(AF_INET6, ip.substr(0, percent).c_str(), &v6.sin6_addr), 1) << ip;
      if (percent != std::string::npos) v6.sin6_scope_id = ::if_nametoindex(ip.substr(percent + 1).c_str());
      result.put(v6);
    }
    return result;
  }

  template <class T>
  void put(const T& address) {
    std::memcpy(&storage, &address, sizeof(address));
    size = sizeof(address);
  }

  int port() const {
    sockaddr_in6 v6{};  // the port is where it is in sockaddr_in
    std::memcpy(&v6, &storage, sizeof(v6));
    return ntohs(v6.sin6_port);
  }

  std::string name() const {
    char ip[INET6_ADDRSTRLEN] = "";
    if (storage.ss_family == AF_INET) {
      sockaddr_in v4{};
      std::memcpy(&v4, &storage, sizeof(v4));
      ::inet_ntop(AF_INET, &v4.sin_addr, ip, sizeof(ip));
      return std::string(ip) + ":" + std::to_string(port());
    }
    sockaddr_in6 v6{};
    std::memcpy(&v6, &storage, sizeof(v6));
    ::inet_ntop(AF_INET6, &v6.sin6_addr, ip, sizeof(ip));
    char interface[IF_NAMESIZE] = "";
    const bool scoped = v6.sin6_scope_id != 0 && ::if_indextoname(v6.sin6_scope_id, interface) != nullptr;
    return std::string("[") + ip + (scoped ? std::string("%") + interface : "") + "]:" + std::to_string(port());
  }
};

DatagramClient::DatagramClient(const std::string& ip, int port, const std::string& from) {
  Address to = Address::of(ip, port);
  to_.assign(reinterpret_cast<const char*>(&to.storage), to.size);
  peer_name_ = to.name();
  fd_ = UniqueFd(::socket(to.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_BROADCAST, &yes, sizeof(yes));
  const int no_hops = 0;  // multicasts stay on this machine
  ::setsockopt(fd_.get(), IPPROTO_IP, IP_MULTICAST_TTL, &no_hops, sizeof(no_hops));
  if (to.storage.ss_family == AF_INET6)
    ::setsockopt(fd_.get(), IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &no_hops, sizeof(no_hops));
  Address local = Address::of(from.empty() ? to.storage.ss_family == AF_INET ? "0.0.0.0" : "::" : from, 0);
  EXPECT_EQ(::bind(fd_.get(), local.get(), local.size), 0) << std::strerror(errno);
}

std::string DatagramClient::name() const {
  Address local;
  ::getsockname(fd_.get(), local.get(), &local.size);
  return local.name();
}

int DatagramClient::port() const {
  Address local;
  ::getsockname(fd_.get(), local.get(), &local.size);
  return local.port();
}

std::error_code DatagramClient::try_send(std::string_view text) {
  ssize_t sent = 0;
  do {
    sent = ::sendto(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(to_.data()),
                    static_cast<socklen_t>(to_.size()));
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? std::error_code(errno, std::system_category()) : std::error_code();
}

void DatagramClient::send(std::string_view text) {
  const std::error_code err = try_send(text);
  EXPECT_FALSE(err) << "send to " << peer_name_ << ": " << err.message();
}

Packet DatagramClient::receive() {
  if (wait(static_cast<int>(kPatience.count()))) {
    if (auto packet = poll()) return *packet;
  }
  ADD_FAILURE() << "no datagram comes from " << peer_name_ << " to " << name();
  return {"(nothing)", ""};
}

std::string DatagramClient::receive_text() { return receive().text; }

std::optional<Packet> DatagramClient::poll() {
  thread_local std::vector<char> buffer(64 * 1024);
  Address from;
  const ssize_t size = ::recvfrom(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT, from.get(), &from.size);
  if (size < 0) return std::nullopt;
  return Packet{std::string(buffer.data(), static_cast<std::size_t>(size)), from.name()};
}

bool DatagramClient::is_quiet() { return !wait(static_cast<int>(kQuietTime.count())); }

bool DatagramClient::wait(int timeout_ms) {
  pollfd poll{fd_.get(), POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&poll, 1, timeout_ms);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

}  // namespace evio::test
