#include "tests/support/watchdog.hpp"

#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "tests/support/process.hpp"

namespace evio::test {
namespace {

std::atomic<bool> dumped{false};

// Runs on the thread whose stack it shows. The first backtrace() of a process allocates, which no handler may; in a
// process that is about to be aborted that is worth the risk.
void dump_own_stack(int) {
  void* frames[64];
  ::backtrace_symbols_fd(frames, ::backtrace(frames, 64), STDERR_FILENO);
  dumped.store(true, std::memory_order_release);  // release: the text is out before the next thread's begins
}

}  // namespace

void dump_stacks() {
  const int signal = SIGRTMIN + 5;
  struct sigaction action {};
  action.sa_handler = dump_own_stack;
  ::sigaction(signal, &action, nullptr);
  for (const pid_t thread : threads()) {
    if (thread == ::gettid()) continue;
    std::fprintf(stderr, "--- thread %s\n", describe_thread(thread).c_str());
    dumped.store(false, std::memory_order_relaxed);  // relaxed: the handler is only sent for after this
    ::syscall(SYS_tgkill, ::getpid(), thread, signal);
    for (int i = 0; i < 100 && !dumped.load(std::memory_order_acquire); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
}

Watchdog::Watchdog(std::string test, std::chrono::milliseconds limit) : test_(std::move(test)), limit_(limit) {
  // The new thread inherits the mask: a test's own signals are for the test's own threads.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { watch(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
    over_changed_.notify_all();
  }
  thread_.join();
}

void Watchdog::watch() {
  std::unique_lock lock(mutex_);
  if (over_changed_.wait_for(lock, limit_, [this] { return over_; })) return;
  std::fprintf(stderr, "watchdog: %s did not end within %lld ms\n", test_.c_str(),
               static_cast<long long>(limit_.count()));
  dump_stacks();
  std::abort();
}

}  // namespace evio::test
