#include <array>
#include <cstddef>

#include "internal/base/file_descriptor.hpp"
#include "internal/base/syscalls.hpp"
#include "internal/poll/poller.hpp"

namespace evio::internal {
namespace {

constexpr auto same(Readiness ours, std::uint32_t theirs) { return static_cast<std::uint32_t>(ours) == theirs; }
static_assert(same(kReadable, EPOLLIN) && same(kWritable, EPOLLOUT) && same(kFailed, EPOLLERR) &&
              same(kHungUp, EPOLLHUP));

static_assert(sizeof(Ready) == sizeof(epoll_event) && offsetof(Ready, what) == offsetof(epoll_event, events) &&
              offsetof(Ready, tag) == offsetof(epoll_event, data));

std::uint32_t events_of(Interest interest) {
  switch (interest) {
    case Interest::kRead:
      return EPOLLIN;
    case Interest::kWrite:
      return EPOLLOUT;
    case Interest::kAccept:
      return static_cast<std::uint32_t>(EPOLLIN) | static_cast<std::uint32_t>(EPOLLEXCLUSIVE);
    default:
      return 0;
  }
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
    if (const auto code = control(EPOLL_CTL_ADD, wake_.get(), once, wake_up_tag()))
      err = poller_error("epoll_ctl", code);
  }

  std::error_code add(int fd, Interest interest, void* tag) override {
    return control(EPOLL_CTL_ADD, fd, events_of(interest), tag);
  }
  std::error_code modify(int fd, Interest interest, void* tag) override {
    return control(EPOLL_CTL_MOD, fd, events_of(interest), tag);
  }
  void remove(int fd) override { control(EPOLL_CTL_DEL, fd, 0, nullptr); }

  std::span<const Ready> wait(std::chrono::nanoseconds timeout) override {
    const int count = sys::epoll_wait(epoll_.get(), reinterpret_cast<epoll_event*>(ready_.data()),
                                      static_cast<int>(ready_.size()), timeout_ms(timeout));
    if (count >= 0) [[likely]]
      return {ready_.data(), static_cast<std::size_t>(count)};
    rest_after_failed_wait();
    return {};
  }

  bool wake() noexcept override {
    const std::uint64_t one = 1;
    return sys::write(wake_.get(), &one, sizeof one) == sizeof one;
  }

 private:
  std::error_code control(int op, int fd, std::uint32_t events, void* tag) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = tag;
    return sys::epoll_ctl(epoll_.get(), op, fd, &event) == 0 ? std::error_code() : sys::last_error();
  }

  // More than this many ready at once come with the next wait(), oldest first.
  static constexpr std::size_t kBatch = 256;

  FileDescriptor epoll_;
  FileDescriptor wake_;
  std::array<Ready, kBatch> ready_;
};

}  // namespace

std::unique_ptr<Poller> make_epoll_poller(Error& err) { return std::make_unique<EpollPoller>(err); }

}  // namespace evio::internal
