#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "options.hpp"
#include "sockets.hpp"
#include "tls.hpp"

namespace load {

/// A connection to the server: a socket, or TLS over it. Thread-safety: belongs to its thread.
class Link {
 public:
  Link() = default;
  explicit Link(Descriptor fd, bool tls = false) : fd_(std::move(fd)), tls_(tls ? new Tls(fd_.get()) : nullptr) {}

  int fd() const { return fd_.get(); }
  /// nullptr: there is none.
  Tls* tls() const { return tls_.get(); }
  Tls::Wants handshake() { return tls_ ? tls_->handshake() : Tls::Wants::kNothing; }

  /// As send(2) and recv(2).
  ssize_t send(std::string_view bytes) {
    return tls_ ? tls_->send(bytes) : ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  ssize_t receive(char* to, std::size_t size) {
    return tls_ ? tls_->receive(to, size) : ::recv(fd_.get(), to, size, 0);
  }
  /// There may be bytes that no poller reports.
  bool holds_more() const { return tls_ && tls_->holds_more(); }

  void close();

 private:
  Descriptor fd_;
  std::unique_ptr<Tls> tls_;  // goes first
};

/// Connects, from source address number `source`, and shakes hands where options.tls says so. Blocking or not is what
/// it is from then on.
Link connect_link(const Options& options, std::uint64_t source, bool blocking);

/// On blocking ones: all of the bytes, and whether exactly those come back.
void send_all(Link& link, std::string_view bytes);
bool receive_all(Link& link, std::string_view expected, std::vector<char>& buffer);

}  // namespace load
