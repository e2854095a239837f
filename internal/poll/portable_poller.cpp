#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <new>
#include <utility>
#include <vector>

#include "internal/base/assert.hpp"
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
    case Interest::kReadWrite:
      return POLLIN | POLLOUT;
    default:
      return 0;
  }
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
    if (const auto code = add_entry(wake_read_.get(), POLLIN, {})) err = poller_error("poll", code);
  }

  std::error_code add(int fd, Interest interest, Pollable& pollable) override {
    return add_entry(fd, events_of(interest), {&pollable, interest == Interest::kAccept});
  }

  std::error_code modify(int fd, Interest interest, Pollable& pollable) override {
    const std::size_t place = place_[static_cast<std::size_t>(fd)];
    EVIO_ASSERT(place != kNowhere && interest != Interest::kAccept);
    polled_[place].events = events_of(interest);
    entries_[place].pollable = &pollable;
    return {};
  }

  void remove(int fd) override {
    const auto number = static_cast<std::size_t>(fd);
    if (number >= place_.size() || place_[number] == kNowhere) return;
    const std::size_t place = std::exchange(place_[number], kNowhere);
    if (place + 1 != polled_.size()) {
      polled_[place] = polled_.back();
      entries_[place] = entries_.back();
      place_[static_cast<std::size_t>(polled_[place].fd)] = place;
    }
    polled_.pop_back();
    entries_.pop_back();
  }

  Ready wait(std::chrono::nanoseconds timeout) override {
    const int count = sys::poll(polled_.data(), static_cast<nfds_t>(polled_.size()), timeout_ms(timeout));
    if (count < 0) back_off_after_failed_wait();
    // Listeners are collected from the front, the others from the back.
    std::size_t listeners = 0;
    std::size_t others = kBatch;
    // Start at a rotating index so that low entries cannot starve high ones.
    for (std::size_t left = count < 0 ? 0 : static_cast<std::size_t>(count); left != 0 && listeners != others;
         ++from_) {
      if (from_ >= polled_.size()) from_ = 0;
      if (polled_[from_].revents == 0) continue;
      --left;
      const Entry entry = entries_[from_];
      if (entry.pollable == nullptr) {
        consume_wake();
      } else if (entry.is_listener) {
        ready_[listeners++] = entry.pollable;
      } else {
        ready_[--others] = entry.pollable;
      }
    }
    std::reverse(ready_.begin() + static_cast<std::ptrdiff_t>(others), ready_.end());
    return {std::span(ready_).first(listeners), std::span(ready_).subspan(others)};
  }

  // A pipe that is full has a wake-up in it.
  bool wake() noexcept override { return sys::write(wake_write_.get(), "", 1) == 1 || errno == EAGAIN; }

 private:
  struct Entry {
    Pollable* pollable = nullptr;  // the pipe has none
    bool is_listener = false;
  };

  std::error_code add_entry(int fd, short events, Entry entry) try {
    const auto number = static_cast<std::size_t>(fd);
    if (number >= place_.size()) place_.resize(number + 1, kNowhere);
    EVIO_ASSERT(place_[number] == kNowhere);
    entries_.push_back(entry);
    polled_.push_back({fd, events, 0});
    place_[number] = polled_.size() - 1;
    return {};
  } catch (const std::bad_alloc&) {
    entries_.resize(polled_.size());
    return std::make_error_code(std::errc::not_enough_memory);
  }

  void consume_wake() {
    if (wake_ups_ != nullptr) wake_ups_->add(1);
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
  std::vector<Entry> entries_;      // beside polled_
  std::vector<std::size_t> place_;  // by descriptor: where it is in polled_
  std::size_t from_ = 0;            // in polled_, where to look first
  std::array<Pollable*, kBatch> ready_;
};

}  // namespace

std::unique_ptr<Poller> make_portable_poller(Error& err) { return std::make_unique<PortablePoller>(err); }

}  // namespace evio::internal
