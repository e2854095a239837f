// The contract of internal/poller.hpp, which both backends keep.
#include "internal/poll/poller.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/enough.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/unique_fd.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::internal {
namespace {

using std::chrono::nanoseconds;
using test::UniqueFd;

constexpr nanoseconds kAtOnce{0};
constexpr nanoseconds kForEver{-1};

/// Two ends of a stream.
struct Pair {
  Pair() {
    std::array<int, 2> ends{-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), 0);
    near = UniqueFd(ends[0]);
    far = UniqueFd(ends[1]);
  }
  void write() const { EXPECT_EQ(::write(far.get(), "x", 1), 1); }
  void read() const {
    char byte = 0;
    EXPECT_EQ(::read(near.get(), &byte, 1), 1);
  }

  UniqueFd near;
  UniqueFd far;
};

class Counting final : public Pollable {
 public:
  void on_ready() noexcept override { ++calls; }
  static inline int calls = 0;
};
const Counting* as_counting(const Pollable* pollable) { return dynamic_cast<const Counting*>(pollable); }

struct Backend {
  const char* name;
  std::unique_ptr<Poller> (*make)(Error& err);
};

class PollerTest : public testing::TestWithParam<Backend> {
 protected:
  PollerTest() {
    Error err;
    poller_ = GetParam().make(err);
    EXPECT_FALSE(err) << err.message();
  }

  void add(int fd, Interest interest, Counting& pollable) { EXPECT_FALSE(poller_->add(fd, interest, pollable)); }
  void modify(int fd, Interest interest, Counting& pollable) { EXPECT_FALSE(poller_->modify(fd, interest, pollable)); }

  // Whether one wait() reports it, and as what it is: a listener or not.
  bool reports(const Counting& pollable, nanoseconds timeout = kAtOnce) {
    const Ready ready = poller_->wait(timeout);
    EXPECT_EQ(std::ranges::count(ready.listeners, &pollable, as_counting), 0);
    return std::ranges::count(ready.others, &pollable, as_counting) == 1;
  }
  bool reports_listener(const Counting& pollable, nanoseconds timeout = kAtOnce) {
    const Ready ready = poller_->wait(timeout);
    EXPECT_EQ(std::ranges::count(ready.others, &pollable, as_counting), 0);
    return std::ranges::count(ready.listeners, &pollable, as_counting) == 1;
  }
  // A wake-up, which need not be reported, does nothing.
  std::size_t reported(nanoseconds timeout = kAtOnce) {
    const int before = Counting::calls;
    const Ready ready = poller_->wait(timeout);
    for (Pollable* pollable : ready.listeners) pollable->on_ready();
    for (Pollable* pollable : ready.others) pollable->on_ready();
    return static_cast<std::size_t>(Counting::calls - before);
  }
  bool reports_nothing() { return reported() == 0; }

  test::Watchdog watchdog_{"PollerTest", test::kWatchdogLimit};
  std::unique_ptr<Poller> poller_;
  std::array<Counting, 8> tags_;
};
INSTANTIATE_TEST_SUITE_P(, PollerTest,
                         testing::Values(Backend{"epoll", make_epoll_poller},
                                         Backend{"portable", make_portable_poller}),
                         [](const auto& backend) { return std::string(backend.param.name); });

TEST_P(PollerTest, ReportsInputUntilItIsRead) {
  const Pair pair;
  add(pair.near.get(), Interest::kRead, tags_[0]);
  EXPECT_TRUE(reports_nothing());
  pair.write();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(reports(tags_[0], kForEver));
  pair.read();
  EXPECT_TRUE(reports_nothing());
}

TEST_P(PollerTest, ReportsOnlyWhatIsWatchedFor) {
  const Pair pair;
  pair.write();
  const int fd = pair.near.get();
  add(fd, Interest::kWrite, tags_[0]);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(reports(tags_[0]));
  pair.read();
  modify(fd, Interest::kRead, tags_[0]);
  EXPECT_TRUE(reports_nothing());
}

TEST_P(PollerTest, ReportsAHangUpWhateverTheInterest) {
  for (const Interest interest : {Interest::kRead, Interest::kWrite}) {
    Pair pair;
    add(pair.near.get(), interest, tags_[0]);
    pair.far.reset();
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(reports(tags_[0]));
    poller_->remove(pair.near.get());
    EXPECT_TRUE(reports_nothing());
  }
}

TEST_P(PollerTest, ReportsAListenerApartAndAFailure) {
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(listener.get(), name, size), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  ASSERT_EQ(::getsockname(listener.get(), name, &size), 0);
  UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  add(listener.get(), Interest::kAccept, tags_[0]);
  ASSERT_EQ(::connect(client.get(), name, size), 0);
  EXPECT_TRUE(reports_listener(tags_[0], kForEver));
  // As a listener is paused: removed and added again.
  poller_->remove(listener.get());
  EXPECT_TRUE(reports_nothing());
  add(listener.get(), Interest::kAccept, tags_[0]);
  EXPECT_TRUE(reports_listener(tags_[0], kForEver));

  const UniqueFd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  add(accepted.get(), Interest::kRead, tags_[1]);
  EXPECT_TRUE(reports_nothing());
  const linger reset{1, 0};
  ::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  client.reset();
  EXPECT_TRUE(reports(tags_[1], kForEver));
}

TEST_P(PollerTest, ForgetsWhatIsRemovedAndKeepsTheOthersApart) {
  std::array<Pair, 5> pairs;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    add(pairs[i].near.get(), Interest::kRead, tags_[i]);
    pairs[i].write();
  }
  for (const std::size_t gone : {1u, 4u, 0u}) {
    poller_->remove(pairs[gone].near.get());
    EXPECT_FALSE(reports(tags_[gone]));
  }
  EXPECT_EQ(reported(kForEver), 2u);
  EXPECT_TRUE(reports(tags_[2]));
  EXPECT_TRUE(reports(tags_[3]));
  modify(pairs[3].near.get(), Interest::kWrite, tags_[3]);
  EXPECT_TRUE(reports(tags_[3]));
  add(pairs[1].near.get(), Interest::kRead, tags_[7]);
  EXPECT_TRUE(reports(tags_[7]));
  EXPECT_FALSE(reports(tags_[1]));
}

TEST_P(PollerTest, AnotherDescriptorOfTheSameNumberHasItsOwnTag) {
  Pair first;
  const int number = first.near.get();
  add(number, Interest::kRead, tags_[0]);
  poller_->remove(number);
  first.write();
  const Pair second;
  ASSERT_EQ(::dup3(second.near.get(), number, O_CLOEXEC), number);
  add(number, Interest::kRead, tags_[1]);
  EXPECT_TRUE(reports_nothing());
  second.write();
  EXPECT_FALSE(reports(tags_[0], kForEver));
  EXPECT_TRUE(reports(tags_[1]));
}

TEST_P(PollerTest, MoreThanOneWaitReportsAreAllReportedInTurn) {
  constexpr std::size_t kMany = 600;
  const Pair pair;
  std::vector<UniqueFd> copies;
  std::vector<Counting> tags(kMany);
  for (Counting& tag : tags) {
    copies.emplace_back(::fcntl(pair.near.get(), F_DUPFD_CLOEXEC, 0));
    add(copies.back().get(), Interest::kWrite, tag);
  }
  std::set<const Pollable*> seen;
  for (int i = 0; i < 10 && seen.size() != kMany; ++i) {
    for (const Pollable* pollable : poller_->wait(kAtOnce).others) seen.insert(pollable);
  }
  EXPECT_EQ(seen.size(), kMany);
}

TEST_P(PollerTest, AWakeEndsTheNextWaitAndNoOther) {
  for (const int wakes : {1, 3, 200}) {
    for (int i = 0; i < wakes; ++i) EXPECT_TRUE(poller_->wake());
    EXPECT_EQ(reported(kForEver), 0u);
    EXPECT_TRUE(reports_nothing()) << "after " << wakes;
  }
}

TEST_P(PollerTest, WakesOfOtherThreadsEndTheWaitUnderWay) {
  constexpr int kThreads = 3;
  const test::Enough enough(300);
  std::atomic<int> running{kThreads};
  std::atomic<int> asked{0};
  std::atomic<int> seen{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (std::uint64_t round = 0; !enough.reached(round); ++round) {
        const int mine = asked.fetch_add(1) + 1;
        EXPECT_TRUE(poller_->wake());
        while (seen.load() < mine) std::this_thread::yield();
      }
      --running;
      EXPECT_TRUE(poller_->wake());
    });
  }
  // One that is lost leaves this in its wait for ever.
  while (running.load() != 0) {
    poller_->wait(kForEver);
    seen.store(asked.load());
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_P(PollerTest, AWakeIsReportedBesideWhatIsReady) {
  const Pair pair;
  add(pair.near.get(), Interest::kRead, tags_[0]);
  pair.write();
  EXPECT_TRUE(poller_->wake());
  EXPECT_TRUE(reports(tags_[0], kForEver));
  EXPECT_TRUE(reports(tags_[0]));
}

TEST_P(PollerTest, DoesNotReturnBeforeItsTimeout) {
  for (std::chrono::microseconds timeout{100}; timeout.count() <= 900; timeout += std::chrono::microseconds(100)) {
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(reported(timeout), 0u);
    EXPECT_GE(std::chrono::steady_clock::now() - began, timeout);
  }
}

TEST(PollTimeoutTest, IsRoundedUpAndFitsAnInt) {
  using namespace std::chrono_literals;
  EXPECT_EQ(timeout_ms(-1ns), -1);
  EXPECT_EQ(timeout_ms(-5s), -1);
  EXPECT_EQ(timeout_ms(0ns), 0);
  EXPECT_EQ(timeout_ms(1ns), 1);
  EXPECT_EQ(timeout_ms(1ms), 1);
  EXPECT_EQ(timeout_ms(1ms + 1ns), 2);
  EXPECT_EQ(timeout_ms(nanoseconds::max()), 7 * 24 * 60 * 60 * 1000);
}

}  // namespace
}  // namespace evio::internal
