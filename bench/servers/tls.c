#include "tls.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

void die_of_tls(const char* what) {
  fprintf(stderr, "%s: ", what);
  ERR_print_errors_fp(stderr);
  exit(1);
}

/* Sessions are in the tickets alone: two after a full handshake and one after a resumed one, as OpenSSL has it. */
SSL_CTX* server_context(struct Options options) {
  static const unsigned char id[] = "bench";
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  if (context == NULL) die_of_tls("SSL_CTX_new");
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_session_id_context(context, id, sizeof id);
  if (SSL_CTX_use_certificate_chain_file(context, options.cert) != 1) die_of_tls("--cert");
  if (SSL_CTX_use_PrivateKey_file(context, options.key, SSL_FILETYPE_PEM) != 1) die_of_tls("--key");
  return context;
}
