/*
 * What tests/late preloads: threads that begin late, and system calls that are entered or left late, at random. A
 * thread is so suspended where the kernel may suspend it on a busy machine, but far more often, and without any load.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* One call in `rarely` is late, by up to `longest` microseconds; of those that move bytes, which are many, one in eight
   times that. */
static unsigned rarely = 4;
static unsigned longest = 20000;

static unsigned setting(const char* name, unsigned otherwise) {
  const char* text = getenv(name);
  return text != NULL && atoi(text) > 0 ? (unsigned)atoi(text) : otherwise;
}

__attribute__((constructor)) static void read_settings(void) {
  rarely = setting("LATE_ONE_IN", rarely);
  longest = setting("LATE_MICROSECONDS", longest);
}

/* xorshift64, of each thread. */
static uint64_t next_random(void) {
  static __thread uint64_t state;
  if (state == 0) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    state = ((uint64_t)now.tv_nsec * 2654435761u) ^ ((uint64_t)syscall(SYS_gettid) << 32) ^ 1;
  }
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

static void be_late(unsigned one_in) {
  const int saved = errno;
  const uint64_t random = next_random();
  if ((random >> 8) % one_in == 0) {
    const struct timespec delay = {0, (long)((random >> 32) % longest) * 1000};
    syscall(SYS_nanosleep, &delay, NULL);
  }
  errno = saved;
}

/* The definition that this one hides. Threads may look for it at once: they find the same. */
#define HIDDEN(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define LATE(type, name, parameters, arguments, one_in) \
  type name parameters {                                \
    be_late(4 * (one_in));                              \
    const type result = HIDDEN(name) arguments;         \
    be_late(one_in);                                    \
    return result;                                      \
  }

LATE(int, epoll_wait, (int fd, struct epoll_event* events, int n, int timeout), (fd, events, n, timeout), rarely)
LATE(int, epoll_pwait2,
     (int fd, struct epoll_event* events, int n, const struct timespec* timeout, const sigset_t* signals),
     (fd, events, n, timeout, signals), rarely)
LATE(int, poll, (struct pollfd * fds, nfds_t n, int timeout), (fds, n, timeout), rarely)
LATE(int, accept4, (int fd, struct sockaddr* addr, socklen_t* size, int flags), (fd, addr, size, flags), rarely)
LATE(int, connect, (int fd, const struct sockaddr* addr, socklen_t size), (fd, addr, size), rarely)
LATE(int, shutdown, (int fd, int how), (fd, how), rarely)
LATE(int, close, (int fd), (fd), 8 * rarely)
LATE(ssize_t, read, (int fd, void* to, size_t n), (fd, to, n), 8 * rarely)
LATE(ssize_t, write, (int fd, const void* from, size_t n), (fd, from, n), 8 * rarely)
LATE(ssize_t, recv, (int fd, void* to, size_t n, int flags), (fd, to, n, flags), 8 * rarely)
LATE(ssize_t, send, (int fd, const void* from, size_t n, int flags), (fd, from, n, flags), 8 * rarely)
LATE(ssize_t, sendmsg, (int fd, const struct msghdr* message, int flags), (fd, message, flags), 8 * rarely)
LATE(int, recvmmsg, (int fd, struct mmsghdr* messages, unsigned n, int flags, struct timespec* timeout),
     (fd, messages, n, flags, timeout), 8 * rarely)
LATE(int, sendmmsg, (int fd, struct mmsghdr* messages, unsigned n, int flags), (fd, messages, n, flags), 8 * rarely)

struct start {
  void* (*run)(void*);
  void* argument;
};

static void* run_late(void* argument) {
  const struct start start = *(struct start*)argument;
  free(argument);
  be_late(2);
  return start.run(start.argument);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* argument) {
  struct start* start = malloc(sizeof(*start));
  if (start == NULL) return EAGAIN;
  start->run = run;
  start->argument = argument;
  const int err = HIDDEN(pthread_create)(thread, attributes, run_late, start);
  if (err != 0) free(start);
  be_late(rarely);
  return err;
}
