/* libevent's bufferevent_openssl, which reads from the socket and writes to it by OpenSSL. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/event_struct.h>

#include "common.h"
#include "tls.h"

static SSL_CTX* context;

static void on_read(struct bufferevent* stream, void* arg) {
  (void)arg;
  bufferevent_write_buffer(stream, bufferevent_get_input(stream));
}

static void on_event(struct bufferevent* stream, short events, void* arg) {
  (void)arg;
  if (events & BEV_EVENT_CONNECTED) return; /* the handshake is done */
  SSL_shutdown(bufferevent_openssl_get_ssl(stream));
  bufferevent_free(stream);
}

static void on_listener(int listener, short events, void* arg) {
  (void)events;
  for (int fd; (fd = accept_client(listener)) >= 0;) {
    struct bufferevent* stream = bufferevent_openssl_socket_new((struct event_base*)arg, fd, SSL_new(context),
                                                                BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (stream == NULL) die_of_tls("bufferevent_openssl_socket_new");
    bufferevent_setcb(stream, on_read, NULL, on_event, NULL);
    bufferevent_set_max_single_read(stream, kBufferSize);
    bufferevent_set_max_single_write(stream, kBufferSize);
    bufferevent_enable(stream, EV_READ | EV_WRITE);
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
  context = server_context(options);
  run_loops(options, serve);
}
