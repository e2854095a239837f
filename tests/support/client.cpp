#include "tests/support/client.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "tests/support/timing.hpp"

namespace evio::test {
namespace {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

template <class T>
SocketAddress stored(const T& address, std::size_t size = sizeof(T)) {
  SocketAddress result;
  std::memcpy(&result.storage, &address, size);
  result.size = static_cast<socklen_t>(size);
  return result;
}

SocketAddress unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path));
  if (path.starts_with('@')) address.sun_path[0] = '\0';
  return stored(address, offsetof(sockaddr_un, sun_path) + path.size() + (path.starts_with('@') ? 0 : 1));
}

SocketAddress socket_address(const Addr& addr) {
  if (addr.network() == "unix") return unix_address(addr.path());
  const std::string ip = addr.ip();
  const auto port = htons(static_cast<std::uint16_t>(addr.port()));
  if (ip.find(':') == std::string::npos) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = port;
    ::inet_pton(AF_INET, ip == "0.0.0.0" ? "127.0.0.1" : ip.c_str(), &v4.sin_addr);
    return stored(v4);
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = port;
  ::inet_pton(AF_INET6, ip == "::" ? "::1" : ip.c_str(), &v6.sin6_addr);
  return stored(v6);
}

void set_buffer(int fd, int option, int bytes) {
  if (bytes > 0) ::setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof(bytes));
}

std::error_code last_error() { return {errno, std::system_category()}; }

}  // namespace

Client::Client(const Addr& server, const Tuning& tuning) {
  const SocketAddress address = socket_address(server);
  fd_ = UniqueFd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd_.valid()) {
    send_error_ = last_error();
    return;
  }
  set_buffer(fd_.get(), SO_RCVBUF, tuning.receive_buffer);
  set_buffer(fd_.get(), SO_SNDBUF, tuning.send_buffer);
  int result = 0;
  do {
    result = ::connect(fd_.get(), address.get(), address.size);
  } while (result != 0 && errno == EINTR && server.network() == "unix");
  if (result != 0) {
    send_error_ = last_error();
    fd_.reset();
    if (!tuning.may_be_refused) ADD_FAILURE() << "connect " << server.to_string() << ": " << send_error_.message();
  }
}

std::string Client::local_name() const {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&storage), &size);
  char ip[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &storage, sizeof(v4));
    ::inet_ntop(AF_INET, &v4.sin_addr, ip, sizeof(ip));
    return std::string(ip) + ":" + std::to_string(ntohs(v4.sin_port));
  }
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &storage, sizeof(v6));
    ::inet_ntop(AF_INET6, &v6.sin6_addr, ip, sizeof(ip));
    return "[" + std::string(ip) + "]:" + std::to_string(ntohs(v6.sin6_port));
  }
  return "";
}

bool Client::send_all(std::string_view text) {
  while (!text.empty()) {
    if (!wait(POLLOUT, send_error_)) return false;
    const auto sent = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (sent < 0) return send_error_ = last_error(), false;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::size_t Client::send_until_full(std::string_view text) {
  std::size_t total = 0;
  while (total < text.size()) {
    const auto sent = ::send(fd_.get(), text.data() + total, text.size() - total, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) total += static_cast<std::size_t>(sent);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      send_error_ = last_error();
      break;
    }
    pollfd poll{fd_.get(), POLLOUT, 0};
    if (sent < 0 && ::poll(&poll, 1, static_cast<int>(kQuietTime.count() * 2)) == 0) break;
  }
  return total;
}

std::string Client::receive(std::size_t n) {
  std::string text;
  char buffer[64 * 1024];
  while (text.size() < n && wait(POLLIN, receive_error_)) {
    const auto got = ::recv(fd_.get(), buffer, std::min(sizeof(buffer), n - text.size()), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got < 0) receive_error_ = last_error();
    at_end_ = got == 0;
    if (got <= 0) break;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return text;
}

bool Client::has_input() {
  char byte = 0;
  return wait(POLLIN, receive_error_) && ::recv(fd_.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 1;
}

std::string Client::receive_all() { return receive(SIZE_MAX); }

bool Client::is_quiet() {
  pollfd poll{fd_.get(), POLLIN, 0};
  return ::poll(&poll, 1, static_cast<int>(kQuietTime.count())) == 0;
}

void Client::shutdown_write() { ::shutdown(fd_.get(), SHUT_WR); }

void Client::reset() {
  const linger now{1, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  fd_.reset();
}

bool Client::wait(short events, std::error_code& error) {
  error.clear();
  pollfd poll{fd_.get(), events, 0};
  int ready = 0;
  do {
    ready = ::poll(&poll, 1, static_cast<int>(kPatience.count()));
  } while (ready < 0 && errno == EINTR);
  if (ready > 0) return true;
  error = std::make_error_code(std::errc::timed_out);
  ADD_FAILURE() << "the server neither " << (events == POLLIN ? "sends nor ends the stream" : "reads");
  return false;
}

std::string pattern(std::size_t n, unsigned seed) {
  std::string text(n, '\0');
  std::uint64_t state = seed * 0x9E3779B97F4A7C15ull + 1;
  for (char& byte : text) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;  // Knuth's MMIX generator
    byte = static_cast<char>(state >> 56);
  }
  return text;
}

}  // namespace evio::test
