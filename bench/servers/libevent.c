/* libevent's raw events, as its users write a server for speed: one struct event a connection, read and write by hand.
 */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "datagrams.h"

struct Conn {
  struct event event;
  size_t size, sent;
  char* pending;
};

static _Thread_local char buffer[kBufferSize];
static int is_udp;

static void drop(int fd, struct Conn* conn) {
  event_del(&conn->event);
  close(fd);
  free(conn->pending);
  free(conn);
}

static void on_ready(int fd, short events, void* arg);

static void watch(struct event_base* base, int fd, struct Conn* conn, short events) {
  event_del(&conn->event);
  event_assign(&conn->event, base, fd, (short)(events | EV_PERSIST), on_ready, conn);
  event_add(&conn->event, NULL);
}

static void flush(int fd, struct Conn* conn) {
  const ssize_t sent = write(fd, conn->pending + conn->sent, conn->size - conn->sent);
  if (sent < 0) {
    drop(fd, conn);
    return;
  }
  conn->sent += (size_t)sent;
  if (conn->sent < conn->size) return;
  free(conn->pending);
  conn->pending = NULL;
  watch(event_get_base(&conn->event), fd, conn, EV_READ);
}

static void keep(int fd, struct Conn* conn, const char* bytes, size_t size) {
  conn->pending = malloc(size);
  if (conn->pending == NULL) die("malloc");
  memcpy(conn->pending, bytes, size);
  conn->size = size;
  conn->sent = 0;
  watch(event_get_base(&conn->event), fd, conn, EV_WRITE);
}

static void on_ready(int fd, short events, void* arg) {
  struct Conn* conn = arg;
  if (events & EV_WRITE) {
    flush(fd, conn);
    return;
  }
  const ssize_t size = read(fd, buffer, sizeof buffer);
  if (size <= 0) {
    drop(fd, conn);
    return;
  }
  const struct Reply reply = reply_to(buffer, (size_t)size);
  ssize_t sent = write(fd, reply.bytes, reply.size);
  if (sent == (ssize_t)reply.size) return;
  if (sent < 0) sent = 0;
  keep(fd, conn, reply.bytes + sent, reply.size - (size_t)sent);
}

static void on_listener(int listener, short events, void* arg) {
  (void)events;
  if (is_udp) {
    echo_datagrams(listener);
    return;
  }
  for (int fd; (fd = accept_client(listener)) >= 0;) {
    struct Conn* conn = calloc(1, sizeof *conn);
    if (conn == NULL) die("calloc");
    event_assign(&conn->event, (struct event_base*)arg, fd, EV_READ | EV_PERSIST, on_ready, conn);
    event_add(&conn->event, NULL);
  }
}

static void serve(int listener) {
  struct event_config* config = event_config_new();
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK); /* a base belongs to one thread here */
  struct event_base* base = event_base_new_with_config(config);
  event_config_free(config);
  struct event event;
  event_assign(&event, base, listener, EV_READ | EV_PERSIST, on_listener, base);
  event_add(&event, NULL);
  event_base_dispatch(base);
}

int main(int argc, char** argv) {
  const struct Options options = parse_options(argc, argv);
  is_udp = options.udp;
  run_loops(options, serve);
}
