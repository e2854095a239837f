#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "tests/support/timing.hpp"
#include "tests/support/unique_fd.hpp"

namespace evio::test {

/// A datagram socket on any port of a local address, to be dialed. It answers whoever sent to it last. Thread-safety:
/// one thread.
class DatagramPeer {
 public:
  explicit DatagramPeer(bool v6 = false) : fd_(::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in6 at{};
    socklen_t size = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    if (v6) {
      at.sin6_family = AF_INET6;
      at.sin6_addr = in6addr_loopback;
    } else {
      auto& v4 = reinterpret_cast<sockaddr_in&>(at);
      v4.sin_family = AF_INET;
      v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
    port_ = ntohs(at.sin6_port);  // it is at the same place in both
    ip_ = v6 ? "[::1]" : "127.0.0.1";
  }

  int fd() const noexcept { return fd_.get(); }
  int port() const noexcept { return port_; }
  /// "udp://127.0.0.1:5000".
  std::string address(const std::string& scheme = "udp") const { return scheme + "://" + name(); }
  std::string name() const { return ip_ + ':' + std::to_string(port_); }

  /// The next datagram; fails the test when none comes for as long as a test is patient.
  std::string receive() {
    pollfd ready{fd_.get(), POLLIN, 0};
    if (::poll(&ready, 1, static_cast<int>(kPatience.count())) != 1) {
      ADD_FAILURE() << "no datagram has come";
      return "(nothing)";
    }
    std::string text(65'536, '\0');
    from_size_ = sizeof(from_);
    const ssize_t n =
        ::recvfrom(fd_.get(), text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&from_), &from_size_);
    EXPECT_GE(n, 0);
    text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    return text;
  }
  /// Whether nothing comes for kQuietTime.
  bool is_quiet() {
    pollfd ready{fd_.get(), POLLIN, 0};
    return ::poll(&ready, 1, static_cast<int>(kQuietTime.count())) == 0;
  }
  /// To whom it has heard last.
  void send(std::string_view text) {
    EXPECT_EQ(::sendto(fd_.get(), text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&from_), from_size_),
              static_cast<ssize_t>(text.size()));
  }
  /// The port of whom it has heard last.
  int from_port() const noexcept { return ntohs(from_.sin6_port); }
  void close() { fd_.reset(); }

 private:
  UniqueFd fd_;
  int port_ = 0;
  std::string ip_;
  sockaddr_in6 from_{};
  socklen_t from_size_ = 0;
};

}  // namespace evio::test
