#include "internal/tls/tickets.hpp"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <strings.h>

#include "internal/tls/client_sessions.hpp"
#include "internal/tls/openssl_context.hpp"
#include "internal/tls/openssl_session.hpp"
#include "internal/tls/ticket_keys.hpp"

namespace evio::internal {

namespace {

bool set_mac_key(EVP_MAC_CTX* mac, TicketKey& key) {
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end(),
  };
  return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

int begin_ticket(const TicketKeys& keys, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                 EVP_MAC_CTX* mac) {
  auto key = keys.newest(TicketKey::Clock::now());
  if (!key || RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return 0;  // no ticket
  std::copy(key->name.begin(), key->name.end(), name);
  const bool ready = EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key->cipher.data(), iv) == 1;
  return ready && set_mac_key(mac, *key) ? 1 : -1;
}

int open_ticket(const TicketKeys& keys, SSL* ssl, const unsigned char* name, const unsigned char* iv,
                EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) {
  auto key = keys.find(TicketKey::Name(name, 16), TicketKey::Clock::now());
  if (!key) return 0;  // a full handshake
  if (EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key->cipher.data(), iv) != 1 || !set_mac_key(mac, *key))
    return -1;
  // 2: the client gets another. With TLS 1.3 always, as it should use none twice (RFC 8446, C.4).
  return key->newest && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
}

/// SSL_CTX_set_tlsext_ticket_key_evp_cb(3).
int ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
               int encrypting) {
  const OpensslSession* session = OpensslSession::of(ssl);
  if (session == nullptr) return 0;
  const TicketKeys& keys = session->context().ticket_keys();
  return encrypting != 0 ? begin_ticket(keys, name, iv, cipher, mac) : open_ticket(keys, ssl, name, iv, cipher, mac);
}

/// Whether the context would get as far with the client by a full handshake. What its `ca` demands the key has
/// answered.
bool may_resume(SSL* ssl, const OpensslSession& session, SSL_SESSION* earlier) {
  const int mode = SSL_get_verify_mode(ssl);
  if ((mode & SSL_VERIFY_FAIL_IF_NO_PEER_CERT) != 0 && SSL_SESSION_get0_peer(earlier) == nullptr) return false;
  if ((mode & SSL_VERIFY_PEER) != 0 && !still_holds(earlier)) return false;
  // RFC 6066, 3: not with another name.
  const char* name = SSL_SESSION_get0_hostname(earlier);
  return ::strcasecmp(name != nullptr ? name : "", session.server_name().c_str()) == 0;
}

int no_data(SSL*, void*) { return 1; }

/// SSL_CTX_set_session_ticket_cb(3).
SSL_TICKET_RETURN ticket_opened(SSL* ssl, SSL_SESSION* earlier, const unsigned char*, std::size_t,
                                SSL_TICKET_STATUS status, void*) {
  const OpensslSession* session = OpensslSession::of(ssl);
  switch (status) {
    case SSL_TICKET_EMPTY:  // the client asks for its first
    case SSL_TICKET_NO_DECRYPT:
      return SSL_TICKET_RETURN_IGNORE_RENEW;
    case SSL_TICKET_SUCCESS:
    case SSL_TICKET_SUCCESS_RENEW:
      if (session == nullptr || !may_resume(ssl, *session, earlier)) return SSL_TICKET_RETURN_IGNORE_RENEW;
      return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
    default:
      return SSL_TICKET_RETURN_ABORT;
  }
}

}  // namespace

void use_tickets(SSL_CTX* context) {
  SSL_CTX_set_timeout(context, std::chrono::seconds(TicketKeyRing::kLifetime).count());
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, ticket_key);
  if (SSL_CTX_set_session_ticket_cb(context, no_data, ticket_opened, nullptr) != 1) throw std::bad_alloc();
}

}  // namespace evio::internal
