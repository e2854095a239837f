#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

#include "evio/error.hpp"

namespace evio::internal {

/// What a registered descriptor is watched for.
enum class Interest : std::uint8_t {
  kUnregistered,  // not known to the poller
  kNothing,       // only for failure and hang-up, which are always reported
  kRead,
  kWrite,
  kAccept,  // as kRead, on a listener that several pollers watch: one of them is woken, where the system can do that
};

// epoll_wait(2) writes straight into an array of these, so they are laid out as its epoll_event is.
#ifdef __x86_64__
#define EVIO_AS_EPOLL_EVENT [[gnu::packed]]
#else
#define EVIO_AS_EPOLL_EVENT
#endif

/// One descriptor that is ready. The tag lies in an epoll_data, which has 64 bits where a pointer has 32, too.
struct EVIO_AS_EPOLL_EVENT Ready {
  std::uint32_t what;  // Readiness, or-ed
  union {
    void* tag;  // what it was registered with
    std::uint64_t epoll_data;
  };
};

/// The numbers are poll(2)'s, which lets a backend pass them through where the system's are the same.
enum Readiness : std::uint32_t { kReadable = 0x01, kWritable = 0x04, kFailed = 0x08, kHungUp = 0x10 };

/// Waits for descriptors to become ready. The contract of every backend:
///
/// 1. Readiness is level-triggered: what is ready and watched for is reported by every wait() until it is not.
/// 2. Failure and hang-up are reported whatever the interest, until the descriptor is removed.
/// 3. A descriptor is removed before it is closed. wait() may already have reported a descriptor when it is removed:
/// the caller
///    keeps whatever the tag points to until it has gone through what wait() returned.
/// 4. kAccept can be added and removed, not modified (epoll_ctl(2): EPOLLEXCLUSIVE).
/// 5. wake() makes the wait() under way, or else the next one, return. Several before one wait() may count as one.
///    wait() has consumed the wake-up when it returns. It may report it, with wake_up_tag().
/// 6. wait() may return early with nothing; its timeout is never cut short otherwise, and negative is for ever.
///
/// Thread-safety: wake() is async-signal-safe and may be called from any thread; all else belongs to the loop's thread
/// (or to the one that sets the loop up, before it starts).
class Poller {
 public:
  Poller() = default;
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;
  virtual ~Poller() = default;

  virtual std::error_code add(int fd, Interest interest, void* tag) = 0;
  virtual std::error_code modify(int fd, Interest interest, void* tag) = 0;
  virtual void remove(int fd) = 0;
  /// What it returns lives until the next wait().
  virtual std::span<const Ready> wait(std::chrono::nanoseconds timeout) = 0;
  /// False when the system call failed, and nothing will return.
  [[nodiscard]] virtual bool wake() noexcept = 0;
};

/// What a wake-up is reported with: a Source of kind kWakeUp.
void* wake_up_tag() noexcept;

/// An error in making a poller: it names the call.
Error poller_error(std::string_view call, std::error_code code);

/// epoll(7) and an eventfd(2).
std::unique_ptr<Poller> make_epoll_poller(Error& err);
/// poll(2) and a pipe(2): nothing that only Linux has. pipe2(2) is POSIX's since 2024, and older in the BSDs.
std::unique_ptr<Poller> make_portable_poller(Error& err);

/// Called by a backend whose wait(2) has failed, with that errno, so that a failure that lasts is no busy loop.
void rest_after_failed_wait() noexcept;

/// The timeout as poll(2) and epoll_wait(2) take it: whole milliseconds, rounded up so that no timer is early.
int timeout_ms(std::chrono::nanoseconds timeout) noexcept;

}  // namespace evio::internal
