#include "tests/support/tls_wire.hpp"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "tests/support/mode.hpp"
#include "tests/support/timing.hpp"

namespace evio::test {
namespace {

SSL_CTX* client_context() {
  static SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  return context;
}

}  // namespace

struct TlsWire::Ssl {
  explicit Ssl(Side side)
      : ssl(SSL_new(side == Side::kClient ? client_context() : static_cast<SSL_CTX*>(test_tls_context().native()))) {
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    side == Side::kClient ? SSL_set_connect_state(ssl) : SSL_set_accept_state(ssl);
  }
  ~Ssl() { SSL_free(ssl); }
  Ssl(const Ssl&) = delete;
  Ssl& operator=(const Ssl&) = delete;

  SSL* const ssl;
};

TlsWire::TlsWire(int fd, Side side) : fd_(fd), ssl_(std::make_unique<Ssl>(side)) {}
TlsWire::~TlsWire() = default;

std::unique_ptr<TlsWire> TlsWire::connect(int fd, bool may_fail) {
  std::unique_ptr<TlsWire> wire(new TlsWire(fd, Side::kClient));
  return wire->shake_hands(may_fail) && wire->take_tickets(may_fail) ? std::move(wire) : nullptr;
}

std::unique_ptr<TlsWire> TlsWire::accept(int fd, bool may_fail) {
  std::unique_ptr<TlsWire> wire(new TlsWire(fd, Side::kServer));
  return wire->shake_hands(may_fail) ? std::move(wire) : nullptr;
}

bool TlsWire::shake_hands(bool may_fail) {
  for (;;) {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_->ssl);
    flush();
    if (result == 1) return true;
    if (failure(result) != -1 || errno != EAGAIN) break;
    if (fill()) continue;
    if (errno != EAGAIN) break;
    pollfd poll{fd_, POLLIN, 0};
    if (::poll(&poll, 1, static_cast<int>(kPatience.count())) != 1) break;
  }
  if (!may_fail) ADD_FAILURE() << "the TLS handshake fails";
  return false;
}

// They follow the handshake (RFC 8446, 4.6.1). A client that closes and has not read them resets the connection.
bool TlsWire::take_tickets(bool may_fail) {
  if (SSL_version(ssl_->ssl) < TLS1_3_VERSION) return true;
  pollfd poll{fd_, POLLIN, 0};
  if (::poll(&poll, 1, static_cast<int>(kPatience.count())) != 1) {
    if (!may_fail) ADD_FAILURE() << "no tickets come";
    return false;
  }
  fill();
  has_input();
  return true;
}

ssize_t TlsWire::send(const char* from, std::size_t n) {
  const std::lock_guard lock(mutex_);
  if (!flush_locked()) return -1;
  constexpr std::size_t kRecord = 16 * 1024;
  ERR_clear_error();
  const int taken = SSL_write(ssl_->ssl, from, static_cast<int>(std::min(n, kRecord)));
  if (taken <= 0) return failure(taken);
  if (!flush_locked() && errno != EAGAIN) return -1;
  return taken;
}

ssize_t TlsWire::recv(char* to, std::size_t n, bool peek) {
  const std::lock_guard lock(mutex_);
  for (;;) {
    const auto most = static_cast<int>(std::min<std::size_t>(n, 1 << 20));
    ERR_clear_error();
    const int got = peek ? SSL_peek(ssl_->ssl, to, most) : SSL_read(ssl_->ssl, to, most);
    if (got > 0) return got;
    const ssize_t result = failure(got);
    if (result == 0 || errno != EAGAIN) return result;
    if (!fill()) return -1;
  }
}

bool TlsWire::has_input() {
  const std::lock_guard lock(mutex_);
  char byte = 0;
  ERR_clear_error();
  const int got = SSL_peek(ssl_->ssl, &byte, 1);
  return got == 1 || SSL_get_error(ssl_->ssl, got) == SSL_ERROR_ZERO_RETURN;
}

void TlsWire::end_output() {
  {
    const std::lock_guard lock(mutex_);
    ERR_clear_error();
    SSL_shutdown(ssl_->ssl);
  }
  // Another thread may have to read before the socket takes more.
  while (!flush() && errno == EAGAIN) {
    pollfd poll{fd_, POLLOUT, 0};
    if (::poll(&poll, 1, static_cast<int>(kPatience.count())) != 1) break;
  }
}

bool TlsWire::has_unsent() {
  const std::lock_guard lock(mutex_);
  return !unsent_.empty();
}

bool TlsWire::flush() {
  const std::lock_guard lock(mutex_);
  return flush_locked();
}

// False when not all of it has left.
bool TlsWire::flush_locked() {
  char buffer[4096];
  for (int n = 0; (n = BIO_read(SSL_get_wbio(ssl_->ssl), buffer, sizeof(buffer))) > 0;)
    unsent_.append(buffer, static_cast<std::size_t>(n));
  while (!unsent_.empty()) {
    const auto sent = ::send(fd_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return false;
    unsent_.erase(0, static_cast<std::size_t>(sent));
  }
  return true;
}

// True when more came, or the end.
bool TlsWire::fill() {
  char buffer[16 * 1024];
  const auto got = ::recv(fd_, buffer, sizeof(buffer), MSG_DONTWAIT);
  if (got > 0) BIO_write(SSL_get_rbio(ssl_->ssl), buffer, static_cast<int>(got));
  if (got == 0) {
    if (ended_) {
      errno = EPROTO;
      return false;
    }
    ended_ = true;
    BIO_set_mem_eof_return(SSL_get_rbio(ssl_->ssl), 0);
  }
  return got >= 0;
}

ssize_t TlsWire::failure(int result) {
  switch (SSL_get_error(ssl_->ssl, result)) {
    case SSL_ERROR_ZERO_RETURN:
      return 0;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      errno = EAGAIN;
      return -1;
    default:
      errno = EPROTO;
      return -1;
  }
}

}  // namespace evio::test
