#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/support/unique_fd.hpp"

namespace evio::test {

/// A listening socket of the test's own, for a server to dial: the kernel connects, and nobody accepts until the test
/// does. Thread-safety: one thread.
class QuietListener {
 public:
  /// Any port of 127.0.0.1.
  explicit QuietListener(int backlog = 4096) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(at);
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
    EXPECT_EQ(::listen(fd_.get(), backlog), 0);
    port_ = ntohs(at.sin_port);
    address_ = "tcp://127.0.0.1:" + std::to_string(port_);
  }
  /// A unix path.
  QuietListener(const std::string& path, int backlog) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    un_.sun_family = AF_UNIX;
    std::strncpy(un_.sun_path, path.c_str(), sizeof(un_.sun_path) - 1);
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&un_), sizeof(un_)), 0);
    EXPECT_EQ(::listen(fd_.get(), backlog), 0);
    address_ = "unix://" + path;
  }
  ~QuietListener() {
    if (un_.sun_family == AF_UNIX) ::unlink(un_.sun_path);
  }
  QuietListener(const QuietListener&) = delete;
  QuietListener& operator=(const QuietListener&) = delete;

  const std::string& address() const noexcept { return address_; }
  int port() const noexcept { return port_; }
  /// Ends an accept() that waits, and every later one: they return nothing.
  void shutdown() const noexcept { ::shutdown(fd_.get(), SHUT_RDWR); }
  UniqueFd accept() const { return UniqueFd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC)); }
  /// Of a unix path: connects until the backlog is full (EAGAIN, connect(2)).
  void fill() {
    for (;;) {
      UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&un_), sizeof(un_)) != 0) return;
      waiting_.push_back(std::move(fd));
    }
  }

 private:
  sockaddr_un un_{};
  UniqueFd fd_;
  int port_ = 0;
  std::string address_;
  std::vector<UniqueFd> waiting_;
};

}  // namespace evio::test
