#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string_view>

struct ssl_st;
struct ssl_session_st;

namespace load {

/// The client's side of TLS over a socket, which it does not own. The server's certificate is not verified. Where there
/// is no OpenSSL, making one ends the program. Thread-safety: belongs to its thread.
class Tls {
 public:
  enum class Wants { kNothing, kRead, kWrite };
  using Session = std::shared_ptr<ssl_session_st>;

  explicit Tls(int fd);
  ~Tls();
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;

  /// Before the handshake: goes on with an earlier session.
  void offer(const Session& session);
  /// Goes on with the handshake. kNothing: it is done.
  Wants handshake();
  bool resumed() const;
  /// To go on with later. The server has sent it once anything else has come.
  Session session() const;

  /// As send(2) and recv(2).
  ssize_t send(std::string_view bytes);
  ssize_t receive(char* to, std::size_t size);
  /// There may be bytes that no poller reports.
  bool holds_more() const;
  /// Tells the server that nothing more follows.
  void end();

 private:
  ssl_st* ssl_;
};

}  // namespace load
