#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "evio/addr.hpp"
#include "tests/support/tls_wire.hpp"
#include "tests/support/unique_fd.hpp"

namespace evio::test {

/// A plain blocking client over POSIX sockets, tcp or unix. What waits in vain for as long as a test is patient fails
/// the test and returns what it has. Nothing here raises SIGPIPE. Thread-safety: one thread at a time; sending on one
/// thread while receiving on another is fine.
class Client {
 public:
  struct Tuning {
    int receive_buffer = 0;  // SO_RCVBUF, SO_SNDBUF; 0: the system's
    int send_buffer = 0;
    bool may_be_refused = false;   // that is no failure of the test: see connected()
    const char* source = nullptr;  // the IPv4 address to come from; a server of both families is then reached over IPv4
  };

  Client() = default;
  /// Connects; where the server listens on every interface, over loopback. Fails the test when it cannot.
  explicit Client(const Addr& server) : Client(server, Tuning{}) {}
  Client(const Addr& server, const Tuning& tuning);
  /// A connected socket of one's own making.
  explicit Client(UniqueFd fd) : fd_(std::move(fd)) {}
  Client(Client&&) = default;
  Client& operator=(Client&& other) noexcept;
  ~Client() { close(); }

  bool connected() const noexcept { return fd_.valid(); }
  int fd() const noexcept { return fd_.get(); }
  /// This end's address as Go prints it, "" for a unix socket.
  std::string local_name() const;

  /// All of it; false when the connection failed first, see send_error().
  bool send_all(std::string_view text);
  /// Sends the text over and over until nothing more is taken though the server has come to rest, which `at_rest` waits
  /// for: then it reads no more. Or until `most` bytes went. Returns how many.
  std::size_t send_until_full(std::string_view text, std::size_t most, const std::function<bool()>& at_rest);
  /// Waits until all that was sent, an end included, has come to the server's side, read or not.
  void wait_for_arrival();
  /// Exactly n bytes; fewer when the stream ended or failed first.
  std::string receive(std::size_t n);
  /// All there is until the stream ends or fails.
  std::string receive_all();
  /// Waits until there is something to receive, which stays there; false when the stream ended or failed first.
  bool has_input();
  /// Whether there is nothing to receive, no end either, for kQuietTime.
  bool is_quiet();

  /// Whether the last receive found the end of the stream.
  bool at_end() const noexcept { return at_end_; }
  /// Why the last receive failed.
  std::error_code error() const noexcept { return receive_error_; }
  /// Why connecting or the last send failed.
  std::error_code send_error() const noexcept { return send_error_; }

  void shutdown_write();
  /// Closes with a RST: what is in flight is thrown away.
  void reset();
  void close();

  /// Whether clients that connect from now on speak TLS, which they end with close_notify.
  static void speak_tls(bool on) noexcept { speaks_tls_ = on; }

 private:
  bool wait(short events, std::error_code& error);
  ssize_t send_some(std::string_view text);
  ssize_t receive_some(char* to, std::size_t n, bool peek = false);

  static inline bool speaks_tls_ = false;

  UniqueFd fd_;
  std::unique_ptr<TlsWire> tls_;
  bool at_end_ = false;
  std::error_code send_error_;  // apart from the other: two threads may be at it
  std::error_code receive_error_;
};

/// n bytes that are not the same anywhere and differ by seed, so that a lost, doubled or swapped piece is seen.
std::string pattern(std::size_t n, unsigned seed = 1);
/// n bytes of a text that comes over and over.
std::string repeated(std::string_view text, std::size_t n);

}  // namespace evio::test
