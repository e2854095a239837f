#pragma once

/* What the servers with TLS have in common: the same work for OpenSSL, as evio asks for it. */

#include <openssl/ssl.h>

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of options.cert and options.key. Ends the program if they cannot be used. */
SSL_CTX* server_context(struct Options options);
/* Says what OpenSSL has to say, and ends the program. */
void die_of_tls(const char* what);

#ifdef __cplusplus
}
#endif
