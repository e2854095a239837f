#pragma once

#include <string>
#include <vector>

#include "tests/support/unique_fd.hpp"

namespace evio::test {

/// A TCP port that is taken, and at which nobody listens. Thread-safety: one thread.
class ClosedPort {
 public:
  /// Any port of 127.0.0.1.
  ClosedPort() : ClosedPort("127.0.0.1", 0) {}
  /// This port, which somebody else may have: then taken() is false.
  ClosedPort(const std::string& ip, int port);
  bool taken() const noexcept { return socket_.valid(); }
  int port() const noexcept { return port_; }
  std::string address() const { return "tcp://" + ip_ + ':' + std::to_string(port_); }

 protected:
  int socket() const noexcept { return socket_.get(); }

 private:
  const std::string ip_;
  int port_ = 0;
  UniqueFd socket_;
};

/// One at which a connection attempt gets no answer: somebody listens, and its backlog is full. Thread-safety: one
/// thread.
class SilentPort : public ClosedPort {
 public:
  SilentPort() : SilentPort("127.0.0.1", 0) {}
  SilentPort(const std::string& ip, int port);
  /// Makes room for one connection: that of the next attempt, or of an earlier one once the kernel repeats its first
  /// packet, a second after it (RFC 6298, 2.1).
  void answer();

 private:
  std::vector<UniqueFd> waiting_;
};

}  // namespace evio::test
