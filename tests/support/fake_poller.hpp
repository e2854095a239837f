#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "internal/poll/poller.hpp"

namespace evio::test {

/// A poller that waits for nothing: its test says what each wait() finds, and sees what a loop asks of it. It checks
/// the loop's side of the contract of Poller. Thread-safety: one thread.
class FakePoller final : public internal::Poller {
 public:
  using Interest = internal::Interest;
  using Turn = std::function<void()>;
  using Changes = std::vector<std::string>;

  /// What happens in the next wait() calls, one after the other; then `afterwards`, which has to end the loop.
  std::deque<Turn> turns;
  Turn afterwards;

  /// In a turn: wait() finds this descriptor ready.
  void report(int fd) {
    const auto at = watched_.find(fd);
    if (at == watched_.end()) {
      ADD_FAILURE() << fd << " is not watched";
      return;
    }
    (at->second.interest == Interest::kAccept ? listeners_ : others_).push_back(at->second.pollable);
  }
  /// The same of what has no descriptor.
  void report(internal::Pollable& pollable) { others_.push_back(&pollable); }
  void report_listener(internal::Pollable& pollable) { listeners_.push_back(&pollable); }

  /// The next add() or modify() fails.
  void refuse_next(std::errc error) { refusal_ = std::make_error_code(error); }

  /// What was asked for about a descriptor, in order: "add read", "modify write", "remove".
  const Changes& changes(int fd) { return changes_[fd]; }
  bool watches(int fd) const { return watched_.contains(fd); }
  Interest interest(int fd) const { return watches(fd) ? watched_.at(fd).interest : Interest::kNone; }
  /// Of every wait() so far.
  const std::vector<std::chrono::nanoseconds>& timeouts() const { return timeouts_; }
  std::chrono::nanoseconds last_timeout() const { return timeouts_.back(); }
  int wakes() const { return wakes_; }

  std::error_code add(int fd, Interest interest, internal::Pollable& pollable) override {
    changes_[fd].push_back("add " + name_of(interest));
    EXPECT_FALSE(watches(fd)) << fd << " is added again";
    EXPECT_TRUE(is_open(fd)) << fd << " is added after it was closed";
    if (refusal_) return std::exchange(refusal_, {});
    watched_[fd] = {interest, &pollable};
    return {};
  }
  std::error_code modify(int fd, Interest interest, internal::Pollable& pollable) override {
    changes_[fd].push_back("modify " + name_of(interest));
    EXPECT_TRUE(watches(fd)) << fd << " is modified before it was added";
    EXPECT_NE(watched_[fd].interest, Interest::kAccept) << "kAccept cannot be modified";
    EXPECT_EQ(watched_[fd].pollable, &pollable);
    if (refusal_) return std::exchange(refusal_, {});
    watched_[fd].interest = interest;
    return {};
  }
  void remove(int fd) override {
    changes_[fd].push_back("remove");
    EXPECT_TRUE(is_open(fd)) << fd << " is removed after it was closed";
    watched_.erase(fd);
  }
  internal::Ready wait(std::chrono::nanoseconds timeout) override {
    timeouts_.push_back(timeout);
    for (const auto& [fd, watched] : watched_) EXPECT_TRUE(is_open(fd)) << fd << " is watched after it was closed";
    listeners_.clear();
    others_.clear();
    next_turn()();
    return {listeners_, others_};
  }
  bool wake() noexcept override {
    ++wakes_;
    return true;
  }

 private:
  struct Watched {
    Interest interest = Interest::kNone;
    internal::Pollable* pollable = nullptr;
  };
  static constexpr std::size_t kMostTurns = 100'000;

  static std::string name_of(Interest interest) {
    switch (interest) {
      case Interest::kRead:
        return "read";
      case Interest::kWrite:
        return "write";
      case Interest::kReadWrite:
        return "read and write";
      case Interest::kAccept:
        return "accept";
      case Interest::kFailure:
        return "failure";
      case Interest::kNone:
        break;
    }
    return "nothing";
  }
  static bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

  Turn next_turn() {
    if (timeouts_.size() == kMostTurns) {
      std::fputs("FakePoller: this loop does not end\n", stderr);
      std::abort();
    }
    if (turns.empty()) return afterwards;
    Turn turn = std::move(turns.front());
    turns.pop_front();
    return turn;
  }

  std::map<int, Watched> watched_;
  std::map<int, Changes> changes_;
  std::vector<std::chrono::nanoseconds> timeouts_;
  std::vector<internal::Pollable*> listeners_;
  std::vector<internal::Pollable*> others_;
  std::error_code refusal_;
  int wakes_ = 0;
};

}  // namespace evio::test
