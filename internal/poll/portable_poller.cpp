#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <new>
#include <utility>
#include <vector>

#include "internal/base/file_descriptor.hpp"
#include "internal/base/syscalls.hpp"
#include "internal/poll/poller.hpp"

namespace evio::internal {
namespace {

short events_of(Interest interest) {
  switch (interest) {
    case Interest::kRead:
    case Interest::kAccept:
      return POLLIN;
    case Interest::kWrite:
      return POLLOUT;
    default:
      return 0;
  }
}

std::uint32_t readiness_of(short events) {
  std::uint32_t what = 0;
  if ((events & POLLIN) != 0) what |= kReadable;
  if ((events & POLLOUT) != 0) what |= kWritable;
  if ((events & (POLLERR | POLLNVAL)) != 0) what |= kFailed;
  if ((events & POLLHUP) != 0) what |= kHungUp;
  return what;
}

class PortablePoller final : public Poller {
 public:
  explicit PortablePoller(Error& err) {
    std::array<int, 2> ends{-1, -1};
    if (sys::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
      err = poller_error("pipe2", sys::last_error());
      return;
    }
    wake_read_ = FileDescriptor(ends[0]);
    wake_write_ = FileDescriptor(ends[1]);
    if (const auto code = add(wake_read_.get(), Interest::kRead, nullptr)) err = poller_error("poll", code);
  }

  std::error_code add(int fd, Interest interest, void* tag) override try {
    const auto number = static_cast<std::size_t>(fd);
    if (number >= place_.size()) place_.resize(number + 1, kNowhere);
    tags_.push_back(tag);
    polled_.push_back({fd, events_of(interest), 0});
    place_[number] = polled_.size() - 1;
    return {};
  } catch (const std::bad_alloc&) {
    tags_.resize(polled_.size());
    return std::make_error_code(std::errc::not_enough_memory);
  }

  std::error_code modify(int fd, Interest interest, void* tag) override {
    const std::size_t place = place_[static_cast<std::size_t>(fd)];
    polled_[place].events = events_of(interest);
    tags_[place] = tag;
    return {};
  }

  void remove(int fd) override {
    const auto number = static_cast<std::size_t>(fd);
    if (number >= place_.size() || place_[number] == kNowhere) return;
    const std::size_t place = std::exchange(place_[number], kNowhere);
    if (place + 1 != polled_.size()) {
      polled_[place] = polled_.back();
      tags_[place] = tags_.back();
      place_[static_cast<std::size_t>(polled_[place].fd)] = place;
    }
    polled_.pop_back();
    tags_.pop_back();
  }

  std::span<const Ready> wait(std::chrono::nanoseconds timeout) override {
    const int count = sys::poll(polled_.data(), static_cast<nfds_t>(polled_.size()), timeout_ms(timeout));
    if (count < 0) rest_after_failed_wait();
    std::size_t found = 0;
    // From a place that moves on, so that those in front cannot keep those behind from their turn.
    for (std::size_t left = count < 0 ? 0 : static_cast<std::size_t>(count); left != 0 && found != kBatch; ++from_) {
      if (from_ >= polled_.size()) from_ = 0;
      if (polled_[from_].revents == 0) continue;
      --left;
      if (tags_[from_] == nullptr) {
        consume_wake();
      } else {
        ready_[found++] = {readiness_of(polled_[from_].revents), {tags_[from_]}};
      }
    }
    return {ready_.data(), found};
  }

  // A pipe that is full has a wake-up in it.
  bool wake() noexcept override { return sys::write(wake_write_.get(), "", 1) == 1 || errno == EAGAIN; }

 private:
  void consume_wake() {
    std::array<char, 64> taken;
    while (sys::read(wake_read_.get(), taken.data(), taken.size()) == static_cast<ssize_t>(taken.size())) {
    }
  }

  // More than this many ready at once come with the next wait().
  static constexpr std::size_t kBatch = 256;
  static constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);

  FileDescriptor wake_read_;
  FileDescriptor wake_write_;
  std::vector<pollfd> polled_;
  std::vector<void*> tags_;         // beside polled_; null is the pipe's
  std::vector<std::size_t> place_;  // by descriptor: where it is in polled_
  std::size_t from_ = 0;            // in polled_, where to look first
  std::array<Ready, kBatch> ready_;
};

}  // namespace

std::unique_ptr<Poller> make_portable_poller(Error& err) { return std::make_unique<PortablePoller>(err); }

}  // namespace evio::internal
