#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "internal/base/assert.hpp"
#include "internal/base/file_descriptor.hpp"
#include "internal/base/syscalls.hpp"
#include "internal/poll/poller.hpp"

namespace evio::internal {
namespace {

std::uint32_t events_of(Interest interest) {
  switch (interest) {
    case Interest::kRead:
      return EPOLLIN;
    case Interest::kWrite:
      return EPOLLOUT;
    case Interest::kReadWrite:
      return static_cast<std::uint32_t>(EPOLLIN) | static_cast<std::uint32_t>(EPOLLOUT);
    case Interest::kAccept:
      return static_cast<std::uint32_t>(EPOLLIN) | static_cast<std::uint32_t>(EPOLLEXCLUSIVE);
    case Interest::kFailure:
    case Interest::kNone:
      break;
  }
  return 0;
}

// What epoll(7) carries for a descriptor: its Pollable's address, whose lowest bit says that it is a listener.
constexpr std::uintptr_t kListenerBit = 1;
static_assert(alignof(Pollable) > kListenerBit);

std::uintptr_t tag_of(Interest interest, Pollable& pollable) {
  return reinterpret_cast<std::uintptr_t>(&pollable) | (interest == Interest::kAccept ? kListenerBit : 0);
}

Pollable* pollable_of(std::uintptr_t tag) { return reinterpret_cast<Pollable*>(tag); }

// The eventfd is never read: there is nothing to do for it.
class WakeUp final : public Pollable {
 public:
  explicit WakeUp(Counter<std::uint64_t>*& count) noexcept : count_(count) {}
  void on_ready() noexcept override {
    if (count_ != nullptr) count_->add(1);
  }

 private:
  Counter<std::uint64_t>*& count_;
};

// Seconds may be of 32 bits, where the longest timeout of this type is not.
timespec timespec_of(std::chrono::nanoseconds timeout) {
  using Seconds = decltype(timespec::tv_sec);
  const auto whole = std::chrono::floor<std::chrono::seconds>(timeout);
  timespec time{};
  time.tv_sec = static_cast<Seconds>(std::min<std::int64_t>(whole.count(), std::numeric_limits<Seconds>::max()));
  time.tv_nsec = static_cast<decltype(timespec::tv_nsec)>((timeout - whole).count());
  return time;
}

class EpollPoller final : public Poller {
 public:
  explicit EpollPoller(Error& err) : epoll_(sys::epoll_create1(EPOLL_CLOEXEC)) {
    if (!epoll_.valid()) {
      err = poller_error("epoll_create1", sys::last_error());
      return;
    }
    wake_ = FileDescriptor(sys::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_.valid()) {
      err = poller_error("eventfd", sys::last_error());
      return;
    }
    // Edge-triggered, so that every write(2) to the eventfd is reported once and it never has to be read: its counter
    // would take centuries to fill.
    const auto once = static_cast<std::uint32_t>(EPOLLIN) | static_cast<std::uint32_t>(EPOLLET);
    if (const auto code = control(EPOLL_CTL_ADD, wake_.get(), once, tag_of(Interest::kRead, wake_up_)))
      err = poller_error("epoll_ctl", code);
  }

  std::error_code add(int fd, Interest interest, Pollable& pollable) override {
    return control(EPOLL_CTL_ADD, fd, events_of(interest), tag_of(interest, pollable));
  }
  std::error_code modify(int fd, Interest interest, Pollable& pollable) override {
    EVIO_ASSERT(interest != Interest::kAccept);
    return control(EPOLL_CTL_MOD, fd, events_of(interest), tag_of(interest, pollable));
  }
  void remove(int fd) override { control(EPOLL_CTL_DEL, fd, 0, 0); }

  Ready wait(std::chrono::nanoseconds timeout) override {
    const int count = timeout.count() > 0 ? wait_for(timeout) : wait_ms(timeout.count() < 0 ? -1 : 0);
    if (count < 0) [[unlikely]] {
      back_off_after_failed_wait();
      return {};
    }
    Pollable** listeners = listeners_.data();
    Pollable** others = others_.data();
#pragma GCC unroll 4
    for (const epoll_event *event = events_.data(), *end = event + count; event != end; ++event) {
      const auto tag = static_cast<std::uintptr_t>(event->data.u64);
      if ((tag & kListenerBit) == 0) [[likely]] {
        *others++ = pollable_of(tag);
      } else {
        *listeners++ = pollable_of(tag & ~kListenerBit);
      }
    }
    return {{listeners_.data(), listeners}, {others_.data(), others}};
  }

  bool wake() noexcept override {
    const std::uint64_t one = 1;
    return sys::write(wake_.get(), &one, sizeof one) == sizeof one;
  }

 private:
  int wait_ms(int timeout) {
    return sys::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), timeout);
  }

  // epoll_wait(2) rounds to milliseconds; epoll_pwait2(2) does not, and came with Linux 5.11. An older kernel answers
  // ENOSYS, and an older filter of system calls (seccomp(2), in a container) EPERM, which the call itself never does.
  // Not inlined: a wait for ever would pay for it.
  [[gnu::noinline]] int wait_for(std::chrono::nanoseconds timeout) {
    if (has_pwait2_) [[likely]] {
      const timespec time = timespec_of(timeout);
      const int count = sys::epoll_pwait2(epoll_.get(), events_.data(), static_cast<int>(events_.size()), time);
      if (count >= 0 || (errno != ENOSYS && errno != EPERM)) [[likely]]
        return count;
      has_pwait2_ = false;
    }
    return wait_ms(timeout_ms(timeout));
  }

  std::error_code control(int op, int fd, std::uint32_t events, std::uintptr_t tag) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tag;
    return sys::epoll_ctl(epoll_.get(), op, fd, &event) == 0 ? std::error_code() : sys::last_error();
  }

  // More than this many ready at once come with the next wait(), oldest first.
  static constexpr std::size_t kBatch = 256;

  FileDescriptor epoll_;
  FileDescriptor wake_;
  WakeUp wake_up_{wake_ups_};
  std::array<epoll_event, kBatch> events_;
  std::array<Pollable*, kBatch> listeners_;
  std::array<Pollable*, kBatch> others_;
  bool has_pwait2_ = true;
};

}  // namespace

std::unique_ptr<Poller> make_epoll_poller(Error& err) { return std::make_unique<EpollPoller>(err); }

}  // namespace evio::internal
