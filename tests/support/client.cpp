#include "tests/support/client.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "tests/support/sync.hpp"
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

SocketAddress ip_address(const std::string& ip, int number) {
  const auto port = htons(static_cast<std::uint16_t>(number));
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

SocketAddress socket_address(const Addr& addr) {
  return addr.network() == "unix" ? unix_address(addr.path()) : ip_address(addr.ip(), addr.port());
}

void set_buffer(int fd, int option, int bytes) {
  if (bytes > 0) ::setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof(bytes));
}

std::error_code last_error() { return {errno, std::system_category()}; }

}  // namespace

Client::Client(const Addr& server, const Tuning& tuning) {
  const bool over_v4 = tuning.source != nullptr && server.ip() == "::";
  const SocketAddress address = over_v4 ? ip_address("0.0.0.0", server.port()) : socket_address(server);
  fd_ = UniqueFd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd_.valid()) {
    send_error_ = last_error();
    return;
  }
  set_buffer(fd_.get(), SO_RCVBUF, tuning.receive_buffer);
  set_buffer(fd_.get(), SO_SNDBUF, tuning.send_buffer);
  int result = 0;
  if (tuning.source != nullptr) {
    const SocketAddress source = ip_address(tuning.source, 0);
    if (::bind(fd_.get(), source.get(), source.size) != 0) ADD_FAILURE() << "bind " << tuning.source;
  }
  do {
    result = ::connect(fd_.get(), address.get(), address.size);
  } while (result != 0 && errno == EINTR && server.network() == "unix");
  if (result != 0) {
    send_error_ = last_error();
    fd_.reset();
    if (!tuning.may_be_refused) ADD_FAILURE() << "connect " << server.to_string() << ": " << send_error_.message();
    return;
  }
  if (!speaks_tls_) return;
  tls_ = TlsWire::connect(fd_.get(), tuning.may_be_refused);
  if (tls_ == nullptr) fd_.reset();
}

Client& Client::operator=(Client&& other) noexcept {
  if (this == &other) return *this;
  close();
  fd_ = std::move(other.fd_);
  tls_ = std::move(other.tls_);
  at_end_ = other.at_end_;
  send_error_ = other.send_error_;
  receive_error_ = other.receive_error_;
  return *this;
}

void Client::close() {
  if (tls_ != nullptr && fd_.valid()) tls_->end_output();
  tls_.reset();
  fd_.reset();
}

ssize_t Client::send_some(std::string_view text) {
  if (tls_ != nullptr) return tls_->send(text.data(), text.size());
  return ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t Client::receive_some(char* to, std::size_t n, bool peek) {
  if (tls_ != nullptr) return tls_->recv(to, n, peek);
  return ::recv(fd_.get(), to, n, MSG_DONTWAIT | (peek ? MSG_PEEK : 0));
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
    const auto sent = send_some(text);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (sent < 0) return send_error_ = last_error(), false;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::size_t Client::send_until_full(std::string_view text, std::size_t most, const std::function<bool()>& at_rest) {
  const auto takes_more_within = [this](int timeout_ms) {
    pollfd poll{fd_.get(), POLLOUT, 0};
    return ::poll(&poll, 1, timeout_ms) != 0;
  };
  std::size_t total = 0;
  while (total < most) {
    const std::string_view next = text.substr(total % text.size(), most - total);
    const auto sent = send_some(next);
    if (sent > 0) total += static_cast<std::size_t>(sent);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      send_error_ = last_error();
      break;
    }
    if (sent >= 0 || takes_more_within(static_cast<int>(kQuietTime.count()))) continue;
    // A server that lacks a processor takes nothing for a while either: only one that sleeps has stopped reading.
    if (!at_rest() || !takes_more_within(0)) break;
  }
  return total;
}

// Over a unix socket what was sent is there. Over tcp, it is once it is acknowledged (tcp(7): SIOCOUTQ).
void Client::wait_for_arrival() {
  int family = 0;
  socklen_t size = sizeof(family);
  ::getsockopt(fd_.get(), SOL_SOCKET, SO_DOMAIN, &family, &size);
  if (family == AF_UNIX) return;
  const auto arrived = [this] {
    int unacknowledged = 0;
    return ::ioctl(fd_.get(), SIOCOUTQ, &unacknowledged) != 0 || unacknowledged == 0;
  };
  if (!eventually(arrived)) ADD_FAILURE() << "what was sent does not arrive";
}

std::string Client::receive(std::size_t n) {
  std::string text;
  char buffer[64 * 1024];
  while (text.size() < n && wait(POLLIN, receive_error_)) {
    const auto got = receive_some(buffer, std::min(sizeof(buffer), n - text.size()));
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
  while (wait(POLLIN, receive_error_)) {
    const auto got = receive_some(&byte, 1, true);
    if (got >= 0 || errno != EAGAIN) return got == 1;  // else it was a record of the protocol's own
  }
  return false;
}

std::string Client::receive_all() { return receive(SIZE_MAX); }

bool Client::is_quiet() {
  pollfd poll{fd_.get(), POLLIN, 0};
  char byte = 0;
  while (::poll(&poll, 1, static_cast<int>(kQuietTime.count())) != 0) {
    if (tls_ == nullptr || tls_->recv(&byte, 1, true) >= 0 || errno != EAGAIN) return false;
  }
  return true;
}

void Client::shutdown_write() {
  if (tls_ != nullptr) tls_->end_output();
  ::shutdown(fd_.get(), SHUT_WR);
}

void Client::reset() {
  const linger now{1, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  tls_.reset();
  fd_.reset();
}

bool Client::wait(short events, std::error_code& error) {
  error.clear();
  int ready = 0;
  for (;;) {
    if (events == POLLIN && tls_ != nullptr && tls_->has_input()) return true;
    const bool flushes = events == POLLIN && tls_ != nullptr && tls_->has_unsent();
    pollfd poll{fd_.get(), static_cast<short>(events | (flushes ? POLLOUT : 0)), 0};
    ready = ::poll(&poll, 1, static_cast<int>(kPatience.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0 || !flushes || (poll.revents & ~POLLOUT) != 0) break;
    tls_->flush();
  }
  if (ready > 0) return true;
  error = std::make_error_code(std::errc::timed_out);
  ADD_FAILURE() << "the server neither " << (events == POLLIN ? "sends nor ends the stream" : "reads");
  return false;
}

std::string pattern(std::size_t n, unsigned seed) {
  std::string text(n, '\0');
  std::uint64_t state = (seed + 1) * 0xD1342543DE82EF95ull;  // far apart from those of other seeds
  for (std::size_t at = 0; at < n; at += sizeof(state)) {    // splitmix64: eight bytes a step, all of them good
    state += 0x9E3779B97F4A7C15ull;
    std::uint64_t mixed = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9ull;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBull;
    mixed ^= mixed >> 31;
    std::memcpy(text.data() + at, &mixed, std::min(sizeof(mixed), n - at));
  }
  return text;
}

std::string repeated(std::string_view text, std::size_t n) {
  std::string all;
  all.reserve(n);
  while (all.size() < n) all += text.substr(0, n - all.size());
  return all;
}

}  // namespace evio::test
