#pragma once

/* What every echo server here does the same way, so that only its event loop differs: options, sockets, one thread a
 * loop. */

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One read buffer for each loop; asio needs one for each connection. */
enum { kBufferSize = 256 * 1024, kConnectionBufferSize = 64 * 1024, kEventBatch = 256, kDatagramSize = 2048 };

/* What goes back for what was read: the same bytes. In the programs server-NAME-answer, ANSWER_SIZE zeros: each
 * reader's own answer, of which a server must copy what the socket does not take. */
struct Reply {
  const char* bytes;
  size_t size;
};

static inline struct Reply reply_to(const char* bytes, size_t size) {
#ifdef ANSWER_SIZE
  static char zeros[ANSWER_SIZE];
  bytes = zeros;
  size = sizeof zeros;
#endif
  struct Reply reply = {bytes, size};
  return reply;
}

struct Options {
  int port;
  int loops;
  int udp;
  int gather;       /* the servers that answer by another thread: how many messages it takes at a time, */
  int each;         /* and how often it sends each of them */
  const char* how;  /* in which way it answers, where there are several */
  int idle_timeout; /* seconds; 0: none. evio alone has it */
  const char* cert; /* PEM files: the servers with TLS */
  const char* key;
};

struct Options parse_options(int argc, char** argv);
/* Prints "port N pid N": what the harness waits for before it connects. */
void announce(int port);
/* Binds one socket for each loop (one SO_REUSEPORT group when there are several), announces the port and runs
 * serve(socket) on a thread for each. Never returns. */
void run_loops(struct Options options, void (*serve)(int socket));
/* accept4(2): non-blocking, close-on-exec, TCP_NODELAY. -1 when there is nobody. */
int accept_client(int listener);
void die(const char* what);

#ifdef __cplusplus
}
#endif
