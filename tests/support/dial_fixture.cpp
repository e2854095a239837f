#include "tests/support/dial_fixture.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace evio::test {
namespace {

// Who binds it, too, has to set SO_REUSEADDR; who asks for any port gets another one (socket(7)).
UniqueFd bound_socket(int& port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  EXPECT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(at);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&at), size), 0);
  EXPECT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
  port = ntohs(at.sin_port);
  return fd;
}

}  // namespace

ClosedPort::ClosedPort() : socket_(bound_socket(port_)) {}

// The kernel takes one connection more than the backlog, and drops the first packet of the next one.
SilentPort::SilentPort() {
  EXPECT_EQ(::listen(socket(), 0), 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(static_cast<std::uint16_t>(port()));
  for (;;) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ::connect(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at));
    pollfd ready{fd.get(), POLLOUT, 0};
    const bool connected = ::poll(&ready, 1, static_cast<int>(kQuietTime.count())) == 1;
    waiting_.push_back(std::move(fd));
    if (!connected) return;
  }
}

}  // namespace evio::test
