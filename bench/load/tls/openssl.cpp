#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <iostream>

#include "../sockets.hpp"
#include "../tls.hpp"

namespace load {

namespace {

[[noreturn]] void fail_of_tls(const char* what) {
  ERR_print_errors_fp(stderr);
  fail(what);
}

// A record takes one read instead of two. The sessions are kept by those that want to resume them.
SSL_CTX* make_context() {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  if (context == nullptr) fail_of_tls("SSL_CTX_new");
  SSL_CTX_set_mode(context,
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  return context;
}

SSL_CTX* context() {
  static SSL_CTX* const kContext = make_context();
  return kContext;
}

// What send(2) and recv(2) return for a call of OpenSSL that returned `result`.
ssize_t result_of(SSL* ssl, int result, std::size_t n) {
  if (result == 1) return static_cast<ssize_t>(n);
  switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      errno = EAGAIN;
      return -1;
    case SSL_ERROR_ZERO_RETURN:
      return 0;
    default:
      fail_of_tls("TLS");
  }
}

}  // namespace

Tls::Tls(int fd) : ssl_(SSL_new(context())) {
  if (ssl_ == nullptr || SSL_set_fd(ssl_, fd) != 1) fail_of_tls("SSL_new");
  SSL_set_connect_state(ssl_);
}

// A session may be used after the connection it was made by, however that has ended.
Tls::~Tls() {
  SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(ssl_);
}

void Tls::offer(const Session& session) {
  if (SSL_set_session(ssl_, session.get()) != 1) fail_of_tls("SSL_set_session");
}

Tls::Wants Tls::handshake() {
  if (SSL_is_init_finished(ssl_) != 0) return Wants::kNothing;
  ERR_clear_error();
  const int result = SSL_connect(ssl_);
  if (result == 1) return Wants::kNothing;
  const int error = SSL_get_error(ssl_, result);
  if (error == SSL_ERROR_WANT_READ) return Wants::kRead;
  if (error == SSL_ERROR_WANT_WRITE) return Wants::kWrite;
  fail_of_tls("handshake");
}

bool Tls::resumed() const { return SSL_session_reused(ssl_) == 1; }

Tls::Session Tls::session() const {
  Session session(SSL_get1_session(ssl_), SSL_SESSION_free);
  if (SSL_SESSION_is_resumable(session.get()) != 1) fail("the server has sent no ticket");
  return session;
}

ssize_t Tls::send(std::string_view bytes) {
  std::size_t n = 0;
  ERR_clear_error();
  const int result = SSL_write_ex(ssl_, bytes.data(), bytes.size(), &n);
  return result_of(ssl_, result, n);
}

ssize_t Tls::receive(char* to, std::size_t size) {
  std::size_t n = 0;
  ERR_clear_error();
  const int result = SSL_read_ex(ssl_, to, size, &n);
  return result_of(ssl_, result, n);
}

bool Tls::holds_more() const { return SSL_has_pending(ssl_) == 1; }

void Tls::end() { SSL_shutdown(ssl_); }

}  // namespace load
