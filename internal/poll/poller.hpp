#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

#include "evio/error.hpp"
#include "internal/base/counter.hpp"
#include "internal/poll/pollable.hpp"

namespace evio::internal {

/// What a registered descriptor is watched for. Failure and hang-up are always reported too.
enum class Interest : std::uint8_t {
  kNone,     // not registered
  kFailure,  // nothing but that
  kRead,
  kWrite,
  kReadWrite,
  kAccept,  // new connections: where several pollers watch one listener, one of them is woken if the system can do that
};

/// What wait() found. The connections that wait at listeners come first, for a callback may block.
struct Ready {
  std::span<Pollable* const> listeners;  // watched with kAccept
  std::span<Pollable* const> others;
};

/// Waits for descriptors to become ready. The contract of every backend:
///
/// 1. Readiness is level-triggered: what is ready and watched for is reported by every wait() until it is not.
/// 2. Failure and hang-up are reported whatever the interest, until the descriptor is removed.
/// 3. A descriptor is removed before it is closed, and its Pollable outlives the batch: wait() may have reported it
///    before it was removed.
/// 4. kAccept can be added and removed, not modified (epoll_ctl(2): EPOLLEXCLUSIVE).
/// 5. wake() makes the current wait() return, or else the next one. Several wake-ups before one wait() may count as
///    one. wait() has consumed the wake-up when it returns.
/// 6. wait() may return early with nothing; its timeout is never cut short otherwise, and negative is for ever. Where
///    the system counts in milliseconds it is rounded up. Linux ends a wait up to a thousandth of the timeout late, and
///    of a nice thread's five thousandths, but 100 ms at most: one interrupt may then serve several sleepers.
///
/// Thread-safety: wake() is async-signal-safe and may be called from any thread; the rest belongs to the loop's thread
/// (or to the one that sets the loop up, before it starts).
class Poller {
 public:
  Poller() = default;
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;
  virtual ~Poller() = default;

  virtual std::error_code add(int fd, Interest interest, Pollable& pollable) = 0;
  /// The descriptor must be registered. From the next wait() on it is this Pollable's.
  virtual std::error_code modify(int fd, Interest interest, Pollable& pollable) = 0;
  /// Does nothing when the descriptor is not registered.
  virtual void remove(int fd) = 0;
  /// What it returns lives until the next wait().
  virtual Ready wait(std::chrono::nanoseconds timeout) = 0;
  /// False when the system call failed: then no wait() will return for it.
  [[nodiscard]] virtual bool wake() noexcept = 0;

  /// Where to count the wake-ups that waits have consumed.
  void count_wake_ups(Counter<std::uint64_t>& count) noexcept { wake_ups_ = &count; }

 protected:
  Counter<std::uint64_t>* wake_ups_ = nullptr;
};

/// An error in making a poller: it names the call.
Error poller_error(std::string_view call, std::error_code code);

/// epoll(7) and an eventfd(2).
std::unique_ptr<Poller> make_epoll_poller(Error& err);
/// poll(2) and a pipe(2): nothing that only Linux has. pipe2(2) is POSIX's since 2024, and older in the BSDs.
std::unique_ptr<Poller> make_portable_poller(Error& err);

/// Called by a backend whose wait has failed, with that errno, so that a lasting failure does not become a busy loop.
void back_off_after_failed_wait() noexcept;

/// The timeout as poll(2) and epoll_wait(2) take it: whole milliseconds, rounded up so that no timer is early.
int timeout_ms(std::chrono::nanoseconds timeout) noexcept;

}  // namespace evio::internal
