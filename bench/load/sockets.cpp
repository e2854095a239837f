#include "sockets.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>

namespace load {

namespace {

constexpr std::uint32_t kLoopback = 0x7f000001;
constexpr std::uint32_t kSources = 200;

sockaddr_in address(std::uint32_t ip, int port) {
  sockaddr_in addr{};
  addr.sin_family = AF_INET;
  addr.sin_port = htons(static_cast<std::uint16_t>(port));
  addr.sin_addr.s_addr = htonl(ip);
  return addr;
}

void set(int fd, int level, int name, int value) {
  if (setsockopt(fd, level, name, &value, sizeof value) != 0) fail("setsockopt");
}

}  // namespace

void Descriptor::reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void fail(const std::string& what) {
  std::cerr << "bench-load: " << what << ": " << std::strerror(errno) << std::endl;
  std::_Exit(1);
}

void wrong_byte(const std::string& where) {
  std::cerr << "bench-load: an echo differs" << where << std::endl;
  std::_Exit(1);
}

Descriptor connect_tcp(int port, std::uint64_t source, bool blocking, int segment) {
  Descriptor fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK), 0));
  if (fd.get() < 0) fail("socket");
  send_without_delay(fd.get());
  if (segment != 0) set(fd.get(), IPPROTO_TCP, TCP_MAXSEG, segment);
  set(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  const sockaddr_in from = address(kLoopback + static_cast<std::uint32_t>(source % kSources), 0);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0) fail("bind");
  const sockaddr_in to = address(kLoopback, port);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS)
    fail("connect");
  return fd;
}

Descriptor connect_udp(int port, bool blocking) {
  Descriptor fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK), 0));
  if (fd.get() < 0) fail("socket");
  const sockaddr_in to = address(kLoopback, port);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fail("connect");
  return fd;
}

void send_without_delay(int fd) { set(fd, IPPROTO_TCP, TCP_NODELAY, 1); }

void stop_blocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) fail("fcntl");
}

int port_of(int fd) {
  sockaddr_in addr{};
  socklen_t size = sizeof addr;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&addr), &size) != 0) fail("getsockname");
  return ntohs(addr.sin_port);
}

void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size < 0) fail("send");
    bytes.remove_prefix(static_cast<std::size_t>(size));
  }
}

bool receive_all(int fd, std::string_view expected, std::vector<char>& buffer) {
  while (!expected.empty()) {
    const ssize_t size = recv(fd, buffer.data(), std::min(buffer.size(), expected.size()), 0);
    if (size <= 0) fail("recv");
    const std::string_view got(buffer.data(), static_cast<std::size_t>(size));
    if (!expected.starts_with(got)) return false;
    expected.remove_prefix(got.size());
  }
  return true;
}

void raise_descriptor_limit() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace load
