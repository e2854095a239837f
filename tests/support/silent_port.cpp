#include "tests/support/silent_port.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdint>
#include <utility>

#include "tests/support/timing.hpp"

namespace evio::test {
namespace {

sockaddr_in address_of(const std::string& ip, int port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(static_cast<std::uint16_t>(port));
  EXPECT_EQ(::inet_pton(AF_INET, ip.c_str(), &at.sin_addr), 1) << ip;
  return at;
}

}  // namespace

// Who binds it, too, has to set SO_REUSEADDR; who asks for any port gets another one (socket(7)).
ClosedPort::ClosedPort(const std::string& ip, int port)
    : ip_(ip), socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const int on = 1;
  EXPECT_EQ(::setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
  sockaddr_in at = address_of(ip, port);
  socklen_t size = sizeof(at);
  if (::bind(socket_.get(), reinterpret_cast<sockaddr*>(&at), size) != 0) {
    socket_.reset();
    return;
  }
  EXPECT_EQ(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
  port_ = ntohs(at.sin_port);
}

// The kernel takes one connection more than the backlog, and drops the first packet of the next one.
SilentPort::SilentPort(const std::string& ip, int port) : ClosedPort(ip, port) {
  if (!taken()) return;
  EXPECT_EQ(::listen(socket(), 0), 0);
  const sockaddr_in at = address_of(ip, this->port());
  for (;;) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof(at));
    pollfd ready{fd.get(), POLLOUT, 0};
    const bool connected = ::poll(&ready, 1, static_cast<int>(kQuietTime.count())) == 1;
    waiting_.push_back(std::move(fd));
    if (!connected) return;
  }
}

void SilentPort::answer() {
  waiting_.pop_back();  // which would take the place
  const UniqueFd accepted(::accept4(socket(), nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT_TRUE(accepted.valid());
}

}  // namespace evio::test
