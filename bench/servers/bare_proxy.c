/* proxy-bare PORT TO: the limit of a proxy: read and write by hand between each client of PORT and a connection of its
 * own to port TO, both on the loopback. What a side does not take waits, and its other side is not read meanwhile. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kBufferSize = 256 * 1024, kEventBatch = 256, kMaxDescriptors = 1 << 20 };

/* By descriptor: the other one of a pair, and what waits to be written to this one. */
struct Side {
  int other;
  int ended; /* its peer has, and the other was told */
  char* waiting;
  size_t size, sent;
};

static struct Side sides[kMaxDescriptors];
static int poller;

static void die(const char* what) {
  perror(what);
  exit(1);
}

static struct sockaddr_in loopback(int port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return to;
}

static void watch(int operation, int fd, unsigned events) {
  struct epoll_event event = {.events = events, .data = {.fd = fd}};
  if (epoll_ctl(poller, operation, fd, &event) != 0) die("epoll_ctl");
}

static void watch_again(int fd) {
  const struct Side* const side = &sides[fd];
  const int reads = !side->ended && sides[side->other].waiting == NULL;
  watch(EPOLL_CTL_MOD, fd, (reads ? (unsigned)EPOLLIN : 0) | (side->waiting != NULL ? (unsigned)EPOLLOUT : 0));
}

static void close_pair(int fd) {
  const int both[2] = {fd, sides[fd].other};
  for (int i = 0; i < 2; ++i) {
    free(sides[both[i]].waiting);
    memset(&sides[both[i]], 0, sizeof sides[0]);
    sides[both[i]].other = -1;
    close(both[i]);
  }
}

static void add_side(int fd, int other) {
  const int on = 1;
  if (fd >= kMaxDescriptors) die("too many descriptors");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sides[fd].other = other;
  watch(EPOLL_CTL_ADD, fd, EPOLLIN);
}

static void accept_all(int listener, const struct sockaddr_in* to) {
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    const int other = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (other < 0) die("socket");
    if (connect(other, (const struct sockaddr*)to, sizeof *to) != 0 && errno != EINPROGRESS) die("connect");
    add_side(fd, other);
    add_side(other, fd);
  }
}

/* 0 where the pair is closed. */
static int flush(int fd) {
  struct Side* const side = &sides[fd];
  const ssize_t n = write(fd, side->waiting + side->sent, side->size - side->sent);
  if (n < 0) return errno == EAGAIN ? 1 : (close_pair(fd), 0);
  side->sent += (size_t)n;
  if (side->sent < side->size) return 1;
  free(side->waiting);
  side->waiting = NULL;
  watch_again(fd);
  watch_again(side->other);
  return 1;
}

static void copy(int fd) {
  static char buffer[kBufferSize];
  const int to = sides[fd].other;
  const ssize_t size = read(fd, buffer, sizeof buffer);
  if (size < 0 && errno == EAGAIN) return;
  if (size < 0 || (size == 0 && sides[to].ended)) {
    close_pair(fd);
    return;
  }
  if (size == 0) {
    sides[fd].ended = 1;
    shutdown(to, SHUT_WR);
    watch_again(fd);
    return;
  }
  ssize_t sent = write(to, buffer, (size_t)size);
  if (sent == size) return;
  if (sent < 0 && errno != EAGAIN) {
    close_pair(fd);
    return;
  }
  if (sent < 0) sent = 0;
  struct Side* const side = &sides[to];
  side->size = (size_t)(size - sent);
  side->sent = 0;
  side->waiting = malloc(side->size);
  if (side->waiting == NULL) die("malloc");
  memcpy(side->waiting, buffer + sent, side->size);
  watch_again(fd);
  watch_again(to);
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "proxy-bare PORT TO\n");
    return 2;
  }
  const struct sockaddr_in at = loopback(atoi(argv[1]));
  const struct sockaddr_in to = loopback(atoi(argv[2]));
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (const struct sockaddr*)&at, sizeof at) != 0 || listen(listener, 4096) != 0) die("listen");
  poller = epoll_create1(EPOLL_CLOEXEC);
  watch(EPOLL_CTL_ADD, listener, EPOLLIN);
  struct epoll_event events[kEventBatch];
  for (;;) {
    const int count = epoll_wait(poller, events, kEventBatch, -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener) {
        accept_all(fd, &to);
        continue;
      }
      if (sides[fd].other < 0) continue; /* closed in this round */
      if ((events[i].events & EPOLLOUT) != 0 && sides[fd].waiting != NULL && !flush(fd)) continue;
      if ((events[i].events & ~(unsigned)EPOLLOUT) != 0) copy(fd);
    }
  }
}
