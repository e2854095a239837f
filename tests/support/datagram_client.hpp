#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "tests/support/unique_fd.hpp"

namespace evio::test {

/// A datagram as a client gets it: its bytes, and the address it came from as Go prints it.
struct Packet {
  std::string text;
  std::string from;
};

/// A plain blocking client over a datagram socket that is not connected, so that it sees whatever address an answer
/// comes from. Thread-safety: one thread at a time; sending on one thread while receiving on another is fine.
class DatagramClient {
 public:
  /// Talks from `from`, an address of either family, or from the one that routing chooses when it is empty. A server
  /// that is reached at `ip` gets what it sends. An IPv6 address may have a scope: "fe80::1%eth0".
  DatagramClient(const std::string& ip, int port, const std::string& from = "");

  int fd() const noexcept { return fd_.get(); }
  /// This end's address as Go prints it. With a wildcard address it still says which port.
  std::string name() const;
  int port() const;
  /// The address it sends to, as Go prints it.
  const std::string& peer_name() const noexcept { return peer_name_; }

  /// Sends one datagram; fails the test when it cannot.
  void send(std::string_view text);
  /// The same, for sizes that may be refused.
  std::error_code try_send(std::string_view text);
  /// The next datagram; fails the test when none comes for as long as a test is patient.
  Packet receive();
  /// Its bytes alone, "(nothing)" when none came.
  std::string receive_text();
  /// The next one if there is one already.
  std::optional<Packet> poll();
  /// Whether nothing comes for kQuietTime.
  bool is_quiet();

  void close() { fd_.reset(); }

 private:
  bool wait(int timeout_ms);

  struct Address;

  UniqueFd fd_;
  std::string to_;  // the bytes of the socket address to send to
  std::string peer_name_;
};

}  // namespace evio::test
