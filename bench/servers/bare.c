/* The limit: what epoll_wait, read and write cost by hand. Nothing is kept for a connection but its descriptor, until
 * the socket does not take a whole reply: then the rest waits for writability and the connection is not read. */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common.h"
#include "datagrams.h"

enum { kMaxDescriptors = 1 << 20 };

struct Pending {
  size_t size, sent;
  char bytes[];
};

static struct Pending* pending_of[kMaxDescriptors];
static int is_udp;

static void watch(int poller, int operation, int fd, unsigned events) {
  struct epoll_event event = {.events = events, .data = {.fd = fd}};
  if (epoll_ctl(poller, operation, fd, &event) != 0) die("epoll_ctl");
}

static void drop(int fd) {
  free(pending_of[fd]);
  pending_of[fd] = NULL;
  close(fd);
}

static void keep(int poller, int fd, const char* bytes, size_t size) {
  struct Pending* pending = malloc(sizeof *pending + size);
  if (pending == NULL) die("malloc");
  pending->size = size;
  pending->sent = 0;
  memcpy(pending->bytes, bytes, size);
  pending_of[fd] = pending;
  watch(poller, EPOLL_CTL_MOD, fd, EPOLLOUT);
}

static void flush(int poller, int fd) {
  struct Pending* pending = pending_of[fd];
  const ssize_t sent = write(fd, pending->bytes + pending->sent, pending->size - pending->sent);
  if (sent < 0) {
    drop(fd);
    return;
  }
  pending->sent += (size_t)sent;
  if (pending->sent < pending->size) return;
  free(pending);
  pending_of[fd] = NULL;
  watch(poller, EPOLL_CTL_MOD, fd, EPOLLIN);
}

static void accept_all(int poller, int listener) {
  for (int fd; (fd = accept_client(listener)) >= 0;) watch(poller, EPOLL_CTL_ADD, fd, EPOLLIN);
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
      if (fd == listener) {
        is_udp ? echo_datagram_batches(fd) : accept_all(poller, fd);
        continue;
      }
      if (events[i].events & EPOLLOUT) {
        flush(poller, fd);
        continue;
      }
      const ssize_t size = read(fd, buffer, sizeof buffer);
      if (size <= 0) {
        drop(fd);
        continue;
      }
      const struct Reply reply = reply_to(buffer, (size_t)size);
      ssize_t sent = write(fd, reply.bytes, reply.size);
      if (sent == (ssize_t)reply.size) continue;
      if (sent < 0) sent = 0; /* a broken connection shows at the next write */
      keep(poller, fd, reply.bytes + sent, reply.size - (size_t)sent);
    }
  }
}

int main(int argc, char** argv) {
  const struct Options options = parse_options(argc, argv);
  is_udp = options.udp;
  run_loops(options, serve);
}
