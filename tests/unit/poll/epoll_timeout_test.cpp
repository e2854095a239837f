// How the epoll poller asks the kernel for a timeout: whatever a machine that is busy makes of it.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <vector>

#include "internal/poll/poller.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace {

/// A wait as the kernel is asked for it.
struct Asked {
  std::int64_t milliseconds = 0;      // epoll_wait
  std::optional<timespec> time = {};  // epoll_pwait2
  friend bool operator==(const Asked& a, const Asked& b) {
    if (!a.time || !b.time) return !a.time && !b.time && a.milliseconds == b.milliseconds;
    return a.time->tv_sec == b.time->tv_sec && a.time->tv_nsec == b.time->tv_nsec;
  }
  friend std::ostream& operator<<(std::ostream& out, const Asked& asked) {
    if (!asked.time) return out << "epoll_wait " << asked.milliseconds << " ms";
    return out << "epoll_pwait2 " << asked.time->tv_sec << " s " << asked.time->tv_nsec << " ns";
  }
};

std::vector<Asked> asked;
int answer = 0;  // the errno of epoll_pwait2; 0: what the kernel says
bool waits = false;

}  // namespace

extern "C" {
int __real_epoll_wait(int epoll, epoll_event* events, int size, int timeout);
int __wrap_epoll_wait(int epoll, epoll_event* events, int size, int timeout) {
  asked.push_back({.milliseconds = timeout});
  return __real_epoll_wait(epoll, events, size, waits ? timeout : 0);
}
int __real_epoll_pwait2(int epoll, epoll_event* events, int size, const timespec* timeout, const sigset_t* mask);
int __wrap_epoll_pwait2(int epoll, epoll_event* events, int size, const timespec* timeout, const sigset_t* mask) {
  asked.push_back({.time = *timeout});
  if (answer != 0) {
    errno = answer;
    return -1;
  }
  if (!waits) return __real_epoll_wait(epoll, events, size, 0);
  const int count = __real_epoll_pwait2(epoll, events, size, timeout, mask);
  EXPECT_TRUE(count >= 0 || errno == ENOSYS) << "errno " << errno;
  return count;
}
}

namespace evio::internal {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

class EpollTimeoutTest : public testing::Test {
 protected:
  EpollTimeoutTest() {
    Error err;
    poller_ = make_epoll_poller(err);
    EXPECT_FALSE(err) << err.message();
    answer = 0;
    waits = false;
  }

  /// What the kernel is asked for by one wait, which has nothing to report.
  std::vector<Asked> wait(nanoseconds timeout) {
    asked.clear();
    const Ready ready = poller_->wait(timeout);
    EXPECT_TRUE(ready.listeners.empty() && ready.others.empty());
    return asked;
  }
  static std::vector<Asked> milliseconds(std::int64_t ms) { return {{.milliseconds = ms}}; }
  static std::vector<Asked> exactly(std::int64_t seconds, long ns) {
    return {{.time = timespec{.tv_sec = static_cast<time_t>(seconds), .tv_nsec = ns}}};
  }

  test::Watchdog watchdog_{"EpollTimeoutTest", test::kWatchdogLimit};
  std::unique_ptr<Poller> poller_;
};

TEST_F(EpollTimeoutTest, IsAskedForInNanoseconds) {
  EXPECT_EQ(wait(1ns), exactly(0, 1));
  for (long us = 100; us <= 900; us += 100) EXPECT_EQ(wait(us * 1us), exactly(0, us * 1000));
  EXPECT_EQ(wait(1ms + 1ns), exactly(0, 1'000'001));
  EXPECT_EQ(wait(1s - 1ns), exactly(0, 999'999'999));
  EXPECT_EQ(wait(1h + 1ns), exactly(3600, 1));
}

TEST_F(EpollTimeoutTest, ForEverAndAtOnceNeedNone) {
  EXPECT_EQ(wait(-1ns), milliseconds(-1));
  EXPECT_EQ(wait(-1h), milliseconds(-1));
  EXPECT_EQ(wait(0ns), milliseconds(0));
}

// 292 years; the seconds of 32 bits are 68.
TEST_F(EpollTimeoutTest, TheLongestIsTakenByTheKernel) {
  waits = true;
  ASSERT_TRUE(poller_->wake());
  asked.clear();
  poller_->wait(nanoseconds::max());
  ASSERT_FALSE(asked.empty());
  ASSERT_TRUE(asked[0].time);
  EXPECT_GE(asked[0].time->tv_sec, std::numeric_limits<std::int32_t>::max());
}

// Linux before 5.11, and a container whose filter of system calls is older than that.
TEST_F(EpollTimeoutTest, WhereTheKernelHasNoNanosecondsItIsRoundedUpToMilliseconds) {
  for (const int refusal : {ENOSYS, EPERM}) {
    Error err;
    poller_ = make_epoll_poller(err);
    ASSERT_FALSE(err) << err.message();
    answer = refusal;
    std::vector<Asked> both = exactly(0, 100'000);
    both.push_back({.milliseconds = 1});
    EXPECT_EQ(wait(100us), both);
    answer = 0;
    EXPECT_EQ(wait(1ms), milliseconds(1)) << "for good";
    EXPECT_EQ(wait(1ms + 1ns), milliseconds(2));
    EXPECT_EQ(wait(-1ns), milliseconds(-1));
  }
}

TEST_F(EpollTimeoutTest, WhereItHasNoneNoneIsEarlyEither) {
  answer = ENOSYS;
  waits = true;
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(wait(1100us).size(), 2u);
  EXPECT_GE(std::chrono::steady_clock::now() - began, 1100us);
}

TEST_F(EpollTimeoutTest, AWaitThatFailsOtherwiseIsAskedForAgainAsBefore) {
  for (const int failure : {EINTR, EBADF, EFAULT, EINVAL, ENOMEM}) {
    answer = failure;
    EXPECT_EQ(wait(500us), exactly(0, 500'000)) << "errno " << failure;
    answer = 0;
    EXPECT_EQ(wait(500us), exactly(0, 500'000)) << "errno " << failure;
  }
}

}  // namespace
}  // namespace evio::internal
