#include "internal/tls/openssl_session.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "internal/base/syscalls.hpp"
#include "internal/tls/peer_names.hpp"

namespace evio::internal {

namespace {

/// Where an SSL has its session: not the "app data", which is for users of native().
int session_index() {
  static const int kIndex = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return kIndex;
}

}  // namespace

OpensslSession::OpensslSession(std::shared_ptr<const OpensslContext> context, Role role, std::string peer_name)
    : context_(std::move(context)),
      ssl_(or_bad_alloc(SSL_new(static_cast<SSL_CTX*>(context_->native())))),
      peer_name_(std::move(peer_name)) {
  BIO* const bio = Wire::new_bio();
  SSL_set_bio(ssl_.get(), bio, bio);
  if (SSL_set_ex_data(ssl_.get(), session_index(), this) != 1) throw std::bad_alloc();
  role == Role::kServer ? SSL_set_accept_state(ssl_.get()) : SSL_set_connect_state(ssl_.get());
}

// Unless an alert was fatal, the session can be resumed, however the socket has ended (RFC 5246, 7.2.1). SSL_free(3)
// believes that only if both sides have sent close_notify.
OpensslSession::~OpensslSession() {
  if (stage_ != Stage::kFailed && stage_ != Stage::kHandshake)
    SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

const OpensslSession* OpensslSession::of(const SSL* ssl) noexcept {
  return static_cast<const OpensslSession*>(SSL_get_ex_data(ssl, session_index()));
}

void OpensslSession::start_accepting(std::string_view received, std::string server_name) {
  input_ = received;
  info_.server_name = std::move(server_name);
}

TlsSession::Progress OpensslSession::handshake(int fd) noexcept {
  if (stage_ == Stage::kFailed) return Progress::kFailed;
  if (has_unsent() && flush(fd) != 0) {
    if (sys::would_block(errno)) return Progress::kWantsWrite;
    fail_with_system_error();
    return failed();
  }
  if (stage_ != Stage::kHandshake) return stage_ = Stage::kOpen, Progress::kDone;
  Wire* const wire = Wire::begin();
  if (wire == nullptr) {
    fail(std::errc::not_enough_memory, "no memory");
    return failed();
  }
  lend_input(*wire);
  if (wants_read_ && wire->input.empty() && !receive_for_handshake(fd, *wire))
    return stage_ == Stage::kFailed ? Progress::kFailed : Progress::kWantsRead;
  return continue_handshake(fd, *wire);
}

bool OpensslSession::receive_for_handshake(int fd, Wire& wire) noexcept {
  const ssize_t n = wire.receive(fd, Wire::kInput);
  if (n > 0) return true;
  if (n == 0) {
    fail(std::errc::protocol_error, "the peer has closed the connection during the handshake");
  } else if (!sys::would_block(errno)) {
    fail_with_system_error();
  }
  return false;
}

TlsSession::Progress OpensslSession::continue_handshake(int fd, Wire& wire) noexcept {
  clear_openssl_errors();
  const int result = SSL_do_handshake(ssl_.get());
  wants_read_ = result != 1 && SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ;
  if (result != 1 && !wants_read_) fail_with_openssl_error();
  const bool kept = keep_input(wire);
  const bool sent = transmit(fd, wire);  // an alert too
  const int error = errno;
  if (stage_ == Stage::kFailed || !kept) return failed();
  if (!sent && !sys::would_block(error)) {
    errno = error;
    fail_with_system_error();
    return failed();
  }
  if (result == 1) return finish_handshake(fd);
  return has_unsent() ? Progress::kWantsWrite : Progress::kWantsRead;
}

TlsSession::Progress OpensslSession::finish_handshake(int fd) noexcept {
  if (!is_protocol_acceptable()) return failed();
  try {
    describe_peer(ssl_.get(), info_);
  } catch (const std::bad_alloc&) {
    fail(std::errc::not_enough_memory, "no memory");
    return failed();
  }
  stage_ = Stage::kDone;
  holds_input_ = SSL_has_pending(ssl_.get()) == 1;
  return has_unsent() ? Progress::kWantsWrite : handshake(fd);
}

// OpenSSL 3.0 takes from a server whatever that has chosen (RFC 7301, 3.2: one of those that were offered).
bool OpensslSession::is_protocol_acceptable() noexcept {
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &chosen, &size);
  if (size == 0 || SSL_is_server(ssl_.get()) == 1 || context_->alpn().empty()) return true;
  if (context_->alpn().contains({chosen, size})) return true;
  fail(std::errc::protocol_error, "the peer has chosen an application protocol that it was not offered");
  return false;
}

void OpensslSession::fail(std::errc code, const char* words) noexcept {
  stage_ = Stage::kFailed;
  try {
    failure_ = Error(std::make_error_code(code), words);
  } catch (const std::bad_alloc&) {  // this text fits into the string itself
    failure_ = Error(std::make_error_code(std::errc::not_enough_memory), "no memory");
  }
}

void OpensslSession::fail_with_system_error() noexcept {
  const auto code = sys::last_error();
  stage_ = Stage::kFailed;
  try {
    failure_ = Error(code);
  } catch (const std::bad_alloc&) {
    failure_ = Error(code, "no memory");
  }
}

void OpensslSession::fail_with_openssl_error() noexcept {
  stage_ = Stage::kFailed;
  try {
    failure_ = describe(OpensslError::take());
  } catch (const std::bad_alloc&) {
    failure_ = Error(std::make_error_code(std::errc::not_enough_memory), "no memory");
  }
}

Error OpensslSession::describe(const OpensslError& error) const {
  const auto denied = std::make_error_code(std::errc::permission_denied);
  if (error.ssl_reason() == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    const long result = SSL_get_verify_result(ssl_.get());
    // It is "ok" where a callback of a native()'s user refuses it.
    std::string words = result == X509_V_OK ? "the certificate was refused" : X509_verify_cert_error_string(result);
    if (result == X509_V_ERR_HOSTNAME_MISMATCH || result == X509_V_ERR_IP_ADDRESS_MISMATCH)
      words += ": the certificate is not for " + peer_name_;
    return Error(denied, std::move(words));
  }
  if (error.ssl_reason() == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
    return Error(denied, "the peer has no certificate");
  if (const std::string alert = error.alert(); !alert.empty())
    return Error(std::make_error_code(std::errc::protocol_error), "the peer says: " + alert);
  const bool has_no_key =
      error.ssl_reason() == SSL_R_NO_SHARED_CIPHER || error.ssl_reason() == SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM;
  if (has_no_key && SSL_is_server(ssl_.get()) == 1 && SSL_get_certificate(ssl_.get()) == nullptr)
    return Error(std::make_error_code(std::errc::invalid_argument),
                 "the TLS context has no certificate: it is for dialing");
  return error.as_error(std::errc::protocol_error, "");
}

int OpensslSession::errno_of_failure() const noexcept {
  const std::error_code& code = failure_.code();
  return code.category() == std::system_category() || code == std::errc::not_enough_memory ? code.value() : EPROTO;
}

}  // namespace evio::internal
