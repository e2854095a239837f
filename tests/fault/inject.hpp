#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace evio::test {

/// The system calls of the library that a test may watch, delay and let fail. In the order of kCallNames.
enum class Call : std::uint8_t {
  kRead,
  kWrite,
  kSend,
  kSendmsg,
  kSendmmsg,
  kRecvmmsg,
  kAccept4,
  kConnect,
  kSocket,
  kBind,
  kListen,
  kShutdown,
  kGetsockname,
  kGetsockopt,
  kSetsockopt,
  kEpollCreate1,
  kEpollCtl,
  kEpollWait,  // and epoll_pwait2, which is the same wait
  kPoll,
  kEventfd,
  kPipe2,
  kFcntl,
  kIoctl,
  kLstat,
  kUnlink,
  kOpen,
  kFlock,
  kFstat,
  kNanosleep,
  kFchmodat,
};
inline constexpr std::size_t kCalls = static_cast<std::size_t>(Call::kFchmodat) + 1;

/// "read", "epoll_ctl": as the system names it.
const char* name_of(Call call);
std::vector<Call> all_calls();

/// Whether it is one: what a poller writes to in order to wake a loop is none.
bool is_socket(int fd);

/// One call that is about to be made.
struct Invocation {
  Call call;
  int fd = -1;                  // the descriptor it is about; -1 where it is about none
  int operation = 0;            // epoll_ctl, fcntl, getsockopt, setsockopt and flock: what is to be done
  std::uint32_t events = 0;     // epoll_ctl: what is to be watched for
  std::size_t* size = nullptr;  // read, write, send and sendmsg: a rule may ask for less
  int timeout_ms = 0;           // epoll_wait and poll; epoll_pwait2: rounded up
  const char* path = nullptr;   // open, lstat, unlink and fchmodat
};

/// While one of these lives, the library's system calls go through `before`, which returns 0 to have the call made or
/// the errno it fails with instead; `after` sees what a call that was made has returned. It takes --wrap (ld(1)) and a
/// static library. Calls of the thread that made this, and of threads that are Spared, are the test's own and left
/// alone. Thread-safety: made and destroyed on one thread, one at a time; the rules are called on any thread.
class Injection {
 public:
  using Before = std::function<int(Invocation&)>;
  using After = std::function<void(const Invocation&, long result)>;

  explicit Injection(Before before, After after = nullptr);
  ~Injection();
  Injection(const Injection&) = delete;
  Injection& operator=(const Injection&) = delete;

  /// How often the library made this call, or would have.
  int count(Call call) const { return counts_[static_cast<std::size_t>(call)].load(std::memory_order_relaxed); }

  /// For the wrapped calls.
  int before(Invocation& invocation);
  void after(const Invocation& invocation, long result);

 private:
  Before before_;
  After after_;
  std::array<std::atomic<int>, kCalls> counts_{};  // relaxed: only the numbers count
};

/// While it lives, this thread's calls are the test's own. Thread-safety: a thread's own.
class Spared {
 public:
  Spared();
  ~Spared();
  Spared(const Spared&) = delete;
  Spared& operator=(const Spared&) = delete;

 private:
  bool before_;
};

}  // namespace evio::test
