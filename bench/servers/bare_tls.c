/* The limit of TLS: epoll_wait and OpenSSL by hand, on the socket itself. With read_ahead a record takes one read
 * instead of two; then OpenSSL may hold what no poller reports, which is read before the next wait. What the socket
 * does not take of a reply waits for writability, and the connection is not read meanwhile. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common.h"
#include "tls.h"

enum { kMaxDescriptors = 1 << 20 };

struct Client {
  SSL* ssl;
  char* rest; /* of a reply: from `sent` on */
  size_t size, sent;
  int ended; /* nothing more comes from it */
  unsigned interest;
};

/* What is to be done with a client next. */
enum Next { kRead, kWrite, kClose };

static struct Client clients[kMaxDescriptors];
static SSL_CTX* context;

static void watch(int poller, int operation, int fd, unsigned events) {
  struct epoll_event event = {.events = events, .data = {.fd = fd}};
  if (epoll_ctl(poller, operation, fd, &event) != 0) die("epoll_ctl");
  clients[fd].interest = events;
}

/* What a call that returned `result` waits for. */
static enum Next next_of(SSL* ssl, int result) {
  switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
      return kRead;
    case SSL_ERROR_WANT_WRITE:
      return kWrite;
    default:
      return kClose;
  }
}

static void keep(struct Client* client, const char* bytes, size_t size) {
  client->rest = malloc(size);
  if (client->rest == NULL) die("malloc");
  memcpy(client->rest, bytes, size);
  client->size = size;
  client->sent = 0;
}

/* kRead when all was sent. */
static enum Next flush(struct Client* client) {
  while (client->sent < client->size) {
    size_t n = 0;
    const int result = SSL_write_ex(client->ssl, client->rest + client->sent, client->size - client->sent, &n);
    if (result != 1) return next_of(client->ssl, result);
    client->sent += n;
  }
  free(client->rest);
  client->rest = NULL;
  return kRead;
}

/* A partial write is one record: as many as there are, until the socket is full. */
static enum Next reply(struct Client* client, const char* bytes, size_t size) {
  while (size > 0) {
    size_t n = 0;
    const int result = SSL_write_ex(client->ssl, bytes, size, &n);
    if (result != 1) {
      const enum Next next = next_of(client->ssl, result);
      if (next != kClose) keep(client, bytes, size);
      return next;
    }
    bytes += n;
    size -= n;
  }
  return kRead;
}

/* Returns how many bytes it has read into the buffer. *more: there may be others, which no poller reports. */
static size_t fill(struct Client* client, char* buffer, int* more) {
  size_t filled = 0;
  do {
    size_t n = 0;
    const int result = SSL_read_ex(client->ssl, buffer + filled, kBufferSize - filled, &n);
    if (result != 1) {
      client->ended = next_of(client->ssl, result) == kClose;
      *more = 0;
      return filled;
    }
    filled += n;
    *more = SSL_has_pending(client->ssl);
  } while (*more && filled < kBufferSize);
  return filled;
}

/* Echoes what has come, as much as the buffer holds at a time. */
static enum Next echo(struct Client* client, char* buffer) {
  for (int more = 1; more;) {
    const size_t size = fill(client, buffer, &more);
    const enum Next next = size == 0 ? kRead : reply(client, buffer, size);
    if (next != kRead || client->rest != NULL) return next;
  }
  return client->ended ? kClose : kRead;
}

static enum Next go_on(struct Client* client, char* buffer) {
  ERR_clear_error();
  if (!SSL_is_init_finished(client->ssl)) {
    const int result = SSL_accept(client->ssl);
    if (result != 1) return next_of(client->ssl, result);
    if (!SSL_has_pending(client->ssl)) return kRead;
  }
  if (client->rest != NULL) {
    const enum Next next = flush(client);
    if (next != kRead || client->rest != NULL) return next;
    if (client->ended) return kClose;
    if (!SSL_has_pending(client->ssl)) return kRead;
  }
  return echo(client, buffer);
}

static void drop(int fd) {
  /* close_notify for close_notify */
  if (SSL_get_shutdown(clients[fd].ssl) & SSL_RECEIVED_SHUTDOWN) SSL_shutdown(clients[fd].ssl);
  SSL_free(clients[fd].ssl);
  free(clients[fd].rest);
  memset(&clients[fd], 0, sizeof clients[fd]);
  close(fd);
}

static void ready(int poller, int fd, char* buffer) {
  const enum Next next = go_on(&clients[fd], buffer);
  if (next == kClose) {
    drop(fd);
    return;
  }
  const unsigned wanted = next == kWrite ? EPOLLOUT : EPOLLIN;
  if (wanted != clients[fd].interest) watch(poller, EPOLL_CTL_MOD, fd, wanted);
}

static void accept_all(int poller, int listener) {
  for (int fd; (fd = accept_client(listener)) >= 0;) {
    SSL* ssl = SSL_new(context);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) die_of_tls("SSL_new");
    SSL_set_accept_state(ssl);
    clients[fd].ssl = ssl;
    watch(poller, EPOLL_CTL_ADD, fd, EPOLLIN);
  }
}

static void serve(int listener) {
  static _Thread_local char buffer[kBufferSize];
  struct epoll_event events[kEventBatch];
  const int poller = epoll_create1(EPOLL_CLOEXEC);
  watch(poller, EPOLL_CTL_ADD, listener, EPOLLIN);
  for (;;) {
    const int count = epoll_wait(poller, events, kEventBatch, -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      fd == listener ? accept_all(poller, fd) : ready(poller, fd, buffer);
    }
  }
}

int main(int argc, char** argv) {
  const struct Options options = parse_options(argc, argv);
  context = server_context(options);
  SSL_CTX_set_read_ahead(context, 1);
  run_loops(options, serve);
}
