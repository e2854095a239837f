#define _GNU_SOURCE
#include "common.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kMaxLoops = 64, kBacklog = 4096, kDatagramRoom = 4 * 1024 * 1024 };

struct Runner {
  void (*serve)(int socket);
  int socket;
};

void die(const char* what) {
  perror(what);
  exit(1);
}

/* Whether the argument begins with the name; then *to is what follows it. */
static int take_text(const char* argument, const char* name, const char** to) {
  const size_t size = strlen(name);
  if (strncmp(argument, name, size) != 0) return 0;
  *to = argument + size;
  return 1;
}

static void print_usage(const char* program) {
  fprintf(stderr,
          "usage: %s [--port=N] [--loops=N] [--udp] [--gather=N] [--each=N] [--how=NAME] [--idle-timeout=N] "
          "[--cert=FILE --key=FILE]\n",
          program);
}

struct Options parse_options(int argc, char** argv) {
  struct Options options = {.loops = 1, .gather = 1, .each = 1, .how = "", .cert = "", .key = ""};
  for (int i = 1; i < argc; ++i) {
    if (sscanf(argv[i], "--port=%d", &options.port) == 1) continue;
    if (sscanf(argv[i], "--loops=%d", &options.loops) == 1) continue;
    if (sscanf(argv[i], "--gather=%d", &options.gather) == 1) continue;
    if (sscanf(argv[i], "--each=%d", &options.each) == 1) continue;
    if (sscanf(argv[i], "--idle-timeout=%d", &options.idle_timeout) == 1) continue;
    if (take_text(argv[i], "--how=", &options.how)) continue;
    if (take_text(argv[i], "--cert=", &options.cert)) continue;
    if (take_text(argv[i], "--key=", &options.key)) continue;
    if (strcmp(argv[i], "--udp") == 0) {
      options.udp = 1;
      continue;
    }
    print_usage(argv[0]);
    exit(2);
  }
  if (options.loops < 1) options.loops = 1;
  if (options.loops > kMaxLoops) options.loops = kMaxLoops;
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  return options;
}

void announce(int port) {
  printf("port %d pid %d\n", port, (int)getpid());
  fflush(stdout);
}

static int bind_socket(struct Options options, int port) {
  const int type = (options.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const int fd = socket(AF_INET, type, 0);
  if (fd < 0) die("socket");
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (options.loops > 1) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (options.udp) {
    const int room = kDatagramRoom;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  }
  struct sockaddr_in addr = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  if (bind(fd, (struct sockaddr*)&addr, sizeof addr) != 0) die("bind");
  if (!options.udp && listen(fd, kBacklog) != 0) die("listen");
  return fd;
}

static int port_of(int fd) {
  struct sockaddr_in addr;
  socklen_t size = sizeof addr;
  if (getsockname(fd, (struct sockaddr*)&addr, &size) != 0) die("getsockname");
  return ntohs(addr.sin_port);
}

static void* run(void* arg) {
  const struct Runner* runner = (const struct Runner*)arg;
  runner->serve(runner->socket);
  return NULL;
}

void run_loops(struct Options options, void (*serve)(int socket)) {
  static struct Runner runners[kMaxLoops];
  signal(SIGPIPE, SIG_IGN);
  int port = options.port;
  for (int i = 0; i < options.loops; ++i) {
    runners[i] = (struct Runner){serve, bind_socket(options, port)};
    port = port_of(runners[i].socket);
  }
  announce(port);
  for (int i = 1; i < options.loops; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, &runners[i]) != 0) die("pthread_create");
  }
  run(&runners[0]);
  exit(0);
}

int accept_client(int listener) {
  const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return -1;
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}
