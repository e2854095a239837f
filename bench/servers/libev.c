/* libev as its users write a server for speed: one ev_io a connection, read and write by hand. */
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "datagrams.h"

struct Conn {
  ev_io io;
  size_t size, sent;
  char* pending;
};

static _Thread_local char buffer[kBufferSize];
static int is_udp;

static void drop(struct ev_loop* loop, struct Conn* conn) {
  ev_io_stop(loop, &conn->io);
  close(conn->io.fd);
  free(conn->pending);
  free(conn);
}

static void watch(struct ev_loop* loop, struct Conn* conn, int events) {
  ev_io_stop(loop, &conn->io);
  ev_io_set(&conn->io, conn->io.fd, events);
  ev_io_start(loop, &conn->io);
}

static void flush(struct ev_loop* loop, struct Conn* conn) {
  const ssize_t sent = write(conn->io.fd, conn->pending + conn->sent, conn->size - conn->sent);
  if (sent < 0) {
    drop(loop, conn);
    return;
  }
  conn->sent += (size_t)sent;
  if (conn->sent < conn->size) return;
  free(conn->pending);
  conn->pending = NULL;
  watch(loop, conn, EV_READ);
}

static void keep(struct ev_loop* loop, struct Conn* conn, const char* bytes, size_t size) {
  conn->pending = malloc(size);
  if (conn->pending == NULL) die("malloc");
  memcpy(conn->pending, bytes, size);
  conn->size = size;
  conn->sent = 0;
  watch(loop, conn, EV_WRITE);
}

static void on_ready(struct ev_loop* loop, ev_io* io, int events) {
  struct Conn* conn = (struct Conn*)io;
  if (events & EV_WRITE) {
    flush(loop, conn);
    return;
  }
  const ssize_t size = read(io->fd, buffer, sizeof buffer);
  if (size <= 0) {
    drop(loop, conn);
    return;
  }
  const struct Reply reply = reply_to(buffer, (size_t)size);
  ssize_t sent = write(io->fd, reply.bytes, reply.size);
  if (sent == (ssize_t)reply.size) return;
  if (sent < 0) sent = 0;
  keep(loop, conn, reply.bytes + sent, reply.size - (size_t)sent);
}

static void on_listener(struct ev_loop* loop, ev_io* io, int events) {
  (void)events;
  if (is_udp) {
    echo_datagrams(io->fd);
    return;
  }
  for (int fd; (fd = accept_client(io->fd)) >= 0;) {
    struct Conn* conn = calloc(1, sizeof *conn);
    if (conn == NULL) die("calloc");
    ev_io_init(&conn->io, on_ready, fd, EV_READ);
    ev_io_start(loop, &conn->io);
  }
}

static void serve(int listener) {
  struct ev_loop* loop = ev_loop_new(EVBACKEND_EPOLL);
  ev_io io;
  ev_io_init(&io, on_listener, listener, EV_READ);
  ev_io_start(loop, &io);
  ev_run(loop, 0);
}

int main(int argc, char** argv) {
  const struct Options options = parse_options(argc, argv);
  is_udp = options.udp;
  run_loops(options, serve);
}
