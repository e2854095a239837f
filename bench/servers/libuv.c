/* libuv as its users write a server for speed: one read buffer a loop, uv_try_write first, uv_write for what is left.
 */
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common.h"

struct Write {
  uv_write_t request;
  char bytes[];
};

static _Thread_local char buffer[kBufferSize];
static int is_udp;

static void on_closed(uv_handle_t* handle) { free(handle); }

static void on_alloc(uv_handle_t* handle, size_t suggested, uv_buf_t* out) {
  (void)handle;
  (void)suggested;
  *out = uv_buf_init(buffer, sizeof buffer);
}

static void on_read(uv_stream_t* stream, ssize_t size, const uv_buf_t* in);

static void on_written(uv_write_t* request, int status) {
  uv_stream_t* stream = request->handle;
  free(request);
  if (status < 0) {
    if (!uv_is_closing((uv_handle_t*)stream)) uv_close((uv_handle_t*)stream, on_closed);
    return;
  }
  uv_read_start(stream, on_alloc, on_read);
}

static void keep(uv_stream_t* stream, const char* bytes, size_t size) {
  struct Write* rest = malloc(sizeof *rest + size);
  if (rest == NULL) die("malloc");
  memcpy(rest->bytes, bytes, size);
  uv_buf_t out = uv_buf_init(rest->bytes, (unsigned)size);
  uv_read_stop(stream);
  uv_write(&rest->request, stream, &out, 1, on_written);
}

static void on_read(uv_stream_t* stream, ssize_t size, const uv_buf_t* in) {
  if (size < 0) {
    uv_close((uv_handle_t*)stream, on_closed);
    return;
  }
  if (size == 0) return;
  const struct Reply reply = reply_to(in->base, (size_t)size);
  uv_buf_t out = uv_buf_init((char*)reply.bytes, (unsigned)reply.size);
  int sent = uv_try_write(stream, &out, 1);
  if (sent == (int)reply.size) return;
  if (sent < 0) sent = 0;
  keep(stream, reply.bytes + sent, reply.size - (size_t)sent);
}

static void on_connection(uv_stream_t* listener, int status) {
  if (status < 0) return;
  uv_tcp_t* conn = malloc(sizeof *conn);
  if (conn == NULL) die("malloc");
  uv_tcp_init(listener->loop, conn);
  if (uv_accept(listener, (uv_stream_t*)conn) != 0) {
    uv_close((uv_handle_t*)conn, on_closed);
    return;
  }
  uv_tcp_nodelay(conn, 1);
  uv_read_start((uv_stream_t*)conn, on_alloc, on_read);
}

static void on_datagram(uv_udp_t* handle, ssize_t size, const uv_buf_t* in, const struct sockaddr* peer,
                        unsigned flags) {
  (void)flags;
  if (size < 0 || peer == NULL) return;
  uv_buf_t out = uv_buf_init(in->base, (unsigned)size);
  uv_udp_try_send(handle, &out, 1, peer);
}

static void serve(int socket) {
  uv_loop_t loop;
  uv_tcp_t listener;
  uv_udp_t datagrams;
  uv_loop_init(&loop);
  if (is_udp) {
    uv_udp_init_ex(&loop, &datagrams, AF_UNSPEC | UV_UDP_RECVMMSG);
    uv_udp_open(&datagrams, socket);
    uv_udp_recv_start(&datagrams, on_alloc, on_datagram);
  } else {
    uv_tcp_init(&loop, &listener);
    uv_tcp_open(&listener, socket);
    if (uv_listen((uv_stream_t*)&listener, 4096, on_connection) != 0) die("uv_listen");
  }
  uv_run(&loop, UV_RUN_DEFAULT);
}

int main(int argc, char** argv) {
  const struct Options options = parse_options(argc, argv);
  is_udp = options.udp;
  run_loops(options, serve);
}
