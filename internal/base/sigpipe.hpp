#pragma once

#include <cerrno>
#include <csignal>
#include <ctime>

namespace evio::internal {

/// Keeps SIGPIPE from this thread, and from threads it starts, while it lives: write(2) to a socket whose peer is gone
/// then only says EPIPE. A signal that such a write left pending is taken away; one that was pending before is not. The
/// end of it leaves errno alone: it is the write's. Thread-safety: the thread that makes it destroys it.
class SigpipeBlocked {
 public:
  SigpipeBlocked() noexcept {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    was_pending_ = pending();
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~SigpipeBlocked() {
    constexpr timespec kNow{0, 0};
    const int err = errno;
    while (!was_pending_ && pending() && sigtimedwait(&pipe_, nullptr, &kNow) == -1 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = err;
  }
  SigpipeBlocked(const SigpipeBlocked&) = delete;
  SigpipeBlocked& operator=(const SigpipeBlocked&) = delete;

 private:
  static bool pending() noexcept {
    sigset_t set;
    return sigpending(&set) == 0 && sigismember(&set, SIGPIPE) == 1;
  }

  sigset_t pipe_;
  sigset_t before_;
  bool was_pending_ = false;
};

}  // namespace evio::internal
