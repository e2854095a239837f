#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace evio::test {

/// One side of TLS over a connected socket, by OpenSSL in memory. Its calls answer as send(2) and recv(2) do
/// with MSG_DONTWAIT: -1 and EAGAIN where they would block; 0 for the peer's close_notify; EPROTO where the stream ends
/// without it. Certificates are not verified. Thread-safety: any thread.
class TlsWire {
 public:
  /// Shakes hands, which may block. Null when that fails; the test then has failed, unless it `may_fail`.
  static std::unique_ptr<TlsWire> connect(int fd, bool may_fail = false);
  /// The same as the listener's side, with test_tls_context().
  static std::unique_ptr<TlsWire> accept(int fd, bool may_fail = false);
  ~TlsWire();
  TlsWire(const TlsWire&) = delete;
  TlsWire& operator=(const TlsWire&) = delete;

  ssize_t send(const char* from, std::size_t n);
  ssize_t recv(char* to, std::size_t n, bool peek = false);
  /// close_notify: the socket is the caller's.
  void end_output();
  /// There is something that recv() would return.
  bool has_input();
  /// Something that send() took has not left: flush() is to be called when the socket can be written to.
  bool has_unsent();
  bool flush();

 private:
  struct Ssl;
  enum class Side : bool { kClient, kServer };
  TlsWire(int fd, Side side);

  bool shake_hands(bool may_fail);
  bool take_tickets(bool may_fail);
  bool fill();
  bool flush_locked();
  ssize_t failure(int result);

  const int fd_;
  std::mutex mutex_;
  std::unique_ptr<Ssl> ssl_;
  std::string unsent_;
  bool ended_ = false;  // the socket has
};

}  // namespace evio::test
