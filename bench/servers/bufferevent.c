/* libevent's bufferevent, which most of its servers use: input is moved to the output buffer without copying. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>

#include "common.h"

static void on_read(struct bufferevent* stream, void* arg) {
  (void)arg;
#ifdef ANSWER_SIZE
  struct evbuffer* in = bufferevent_get_input(stream);
  evbuffer_drain(in, evbuffer_get_length(in));
  const struct Reply reply = reply_to(NULL, 0);
  bufferevent_write(stream, reply.bytes, reply.size);
#else
  bufferevent_write_buffer(stream, bufferevent_get_input(stream));
#endif
}

static void on_event(struct bufferevent* stream, short events, void* arg) {
  (void)events;
  (void)arg;
  bufferevent_free(stream);
}

static void on_listener(int listener, short events, void* arg) {
  (void)events;
  for (int fd; (fd = accept_client(listener)) >= 0;) {
    struct bufferevent* stream = bufferevent_socket_new((struct event_base*)arg, fd, BEV_OPT_CLOSE_ON_FREE);
    if (stream == NULL) die("bufferevent_socket_new");
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
  if (options.udp) {
    fprintf(stderr, "a bufferevent has no datagrams\n");
    return 2;
  }
  run_loops(options, serve);
}
