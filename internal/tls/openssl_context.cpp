#include "internal/tls/openssl_context.hpp"

#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

#include "internal/tls/openssl_error.hpp"
#include "internal/tls/openssl_session.hpp"
#include "internal/tls/pem_file.hpp"
#include "internal/tls/tickets.hpp"

namespace evio::internal {

namespace {

Error invalid(std::string message) {
  return Error(std::make_error_code(std::errc::invalid_argument), std::move(message));
}

void add_authority(SSL_CTX* context, X509* certificate, TicketKeys::Authorities& digests) {
  if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate) != 1 ||
      SSL_CTX_add_client_CA(context, certificate) != 1)
    throw std::bad_alloc();
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1) throw std::bad_alloc();
  digests.emplace_back(digest.begin(), digest.begin() + size);
}

/// SSL_CTX_set_alpn_select_cb(3).
int choose_protocol(SSL*, const unsigned char** to, unsigned char* size, const unsigned char* offered,
                    unsigned offered_size, void* alpn) {
  const auto chosen = static_cast<const Alpn*>(alpn)->choose({offered, offered_size});
  if (chosen.empty()) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *to = chosen.data();
  *size = static_cast<unsigned char>(chosen.size());
  return SSL_TLSEXT_ERR_OK;
}

/// The name is the one that this context was chosen for: it is kept with the session, and the client is told that it
/// was heeded (RFC 6066, 3).
int acknowledge_name(SSL* ssl, int*, void*) {
  const bool named = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) != nullptr;
  return named ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/// SSL_CTX_sess_set_new_cb(3): 1 takes the session over.
int keep_session(SSL* ssl, SSL_SESSION* made) {
  const OpensslSession* session = OpensslSession::of(ssl);
  if (session == nullptr || SSL_is_server(ssl) == 1) return 0;
  session->context().client_sessions().add(session->peer_name(), OpensslPtr<SSL_SESSION>(made));
  return 1;
}

}  // namespace

OpensslContext::OpensslContext() : context_(or_bad_alloc(SSL_CTX_new(TLS_method()))) {}

std::shared_ptr<const TlsState> OpensslContext::load(const TlsFiles& files, Error& err, const TlsState* previous) {
  ERR_clear_error();
  const std::shared_ptr<OpensslContext> made(new OpensslContext);
  TicketKeys::Authorities digests;
  err = made->set_versions(files.min_version);
  if (!err) err = made->alpn_.assign(files.alpn);
  if (!err) err = made->load_identity(files);
  if (!err) err = made->load_authorities(files, digests);
  if (err) return nullptr;
  made->set_options();
  made->set_alpn();
  // All states are this library's.
  const auto* const earlier = static_cast<const OpensslContext*>(previous);
  made->ticket_keys_ = std::make_unique<const TicketKeys>(
      std::move(digests), earlier != nullptr ? earlier->ticket_keys_.get() : nullptr, TicketKey::Clock::now());
  ERR_clear_error();  // it may have warned
  return made;
}

Error OpensslContext::set_versions(int least) {
  if (least != 12 && least != 13) return invalid("min_version: is 12 or 13, not " + std::to_string(least));
  // The system's configuration may demand more (config(5), MinProtocol).
  const long wanted = least == 13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  const long system = SSL_CTX_get_min_proto_version(context_.get());
  if (SSL_CTX_set_min_proto_version(context_.get(), std::max(wanted, system)) == 1) return Error();
  return OpensslError::take().as_error(std::errc::invalid_argument, "min_version: ");
}

Error OpensslContext::load_identity(const TlsFiles& files) {
  if (files.certificate.empty())
    return files.key.empty() ? Error() : invalid("key " + files.key + ": has no certificate");
  PemFile certificate("certificate", files.certificate);
  PemFile key("key", files.key);
  OpensslPtr<STACK_OF(X509)> chain;
  if (Error err = certificate.read()) return err;
  if (Error err = certificate.certificates(chain)) return err;
  if (!files.key.empty()) {
    if (Error err = key.read()) return err;
  }
  const PemFile& with_key = files.key.empty() ? certificate : key;
  OpensslPtr<EVP_PKEY> private_key;
  if (Error err = with_key.key(private_key)) return err;
  const OpensslPtr<X509> own(sk_X509_shift(chain.get()));
  ERR_clear_error();
  if (X509_check_private_key(own.get(), private_key.get()) != 1) {
    const OpensslError error = OpensslError::take();
    if (!error.no_memory) return invalid(with_key.name() + ": the key is not that of " + certificate.name());
    return error.as_error(std::errc::invalid_argument, with_key.name() + ": ");
  }
  // "ee key too small": the security level has a say too (SSL_CTX_set_security_level(3)).
  if (SSL_CTX_use_cert_and_key(context_.get(), own.get(), private_key.get(), chain.get(), 1) != 1)
    return OpensslError::take().as_error(std::errc::invalid_argument, certificate.name() + ": ");
  return Error();
}

Error OpensslContext::load_authorities(const TlsFiles& files, TicketKeys::Authorities& digests) {
  verifies_servers_ = files.verify;
  if (files.ca.empty()) {
    if (files.require_client) return invalid("require_client: takes a ca");
    // A listener needs none of them, and reading all takes as long as a hundred handshakes.
    system_authorities_later_ = files.verify && !files.certificate.empty();
    return files.verify && !system_authorities_later_ ? read_system_authorities() : Error();
  }
  PemFile ca("ca", files.ca);
  OpensslPtr<STACK_OF(X509)> certificates;
  if (Error err = ca.read()) return err;
  if (Error err = ca.certificates(certificates)) return err;
  for (int i = 0; i < sk_X509_num(certificates.get()); ++i)
    add_authority(context_.get(), sk_X509_value(certificates.get(), i), digests);
  std::ranges::sort(digests);
  // What the file has in it is trusted, an authority that another one has signed too.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context_.get()), X509_V_FLAG_PARTIAL_CHAIN);
  const int require = files.require_client ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
  SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | require, nullptr);
  return Error();
}

// Of a missing file or folder nothing is said: then no server can be verified.
Error OpensslContext::read_system_authorities() const {
  if (SSL_CTX_set_default_verify_paths(context_.get()) == 1) return Error();
  return OpensslError::take().as_error(std::errc::invalid_argument, "ca: the system's: ");
}

// Nothing of the context is verified with before: only dials look for what this adds. Throws std::bad_alloc; the next
// dial tries again.
void OpensslContext::prepare_to_dial() const {
  if (!system_authorities_later_) return;
  std::call_once(dials_, [this] {
    if (read_system_authorities()) throw std::bad_alloc();
  });
}

void OpensslContext::set_options() {
  SSL_CTX* const context = context_.get();
  // RELEASE_BUFFERS: 34 KiB less for a connection at rest. NO_AUTO_CHAIN: the file has the chain; it is not to be
  // looked for in the system's folder of authorities in each handshake.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
  // The server's order of ciphers has the strong ones first; but a client that has ChaCha20 first has no AES in
  // hardware.
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_cipher_list(context, "DEFAULT:!kRSA:!PSK:!SRP");  // of TLS 1.2: with forward secrecy
  SSL_CTX_clear_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
  // A client's sessions are kept by name, in client_sessions_; a listener's are in the tickets.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, keep_session);
  // The same for all contexts: which of them may resume a session is said by the keys of its ticket.
  constexpr unsigned char kId[] = {'e', 'v', 'i', 'o'};
  SSL_CTX_set_session_id_context(context, kId, sizeof kId);
  SSL_CTX_set_tlsext_servername_callback(context, acknowledge_name);
  use_tickets(context);
}

void OpensslContext::set_alpn() {
  if (alpn_.empty()) return;
  SSL_CTX_set_alpn_select_cb(context_.get(), choose_protocol, &alpn_);
  const auto& wire = alpn_.wire();
  if (SSL_CTX_set_alpn_protos(context_.get(), wire.data(), static_cast<unsigned>(wire.size())) != 0)
    throw std::bad_alloc();
}

}  // namespace evio::internal
