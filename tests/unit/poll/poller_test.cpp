// The contract of internal/poller.hpp, which both backends keep.
#include "internal/poll/poller.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

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

  void add(int fd, Interest interest, void* tag) { EXPECT_FALSE(poller_->add(fd, interest, tag)); }
  void modify(int fd, Interest interest, void* tag) { EXPECT_FALSE(poller_->modify(fd, interest, tag)); }

  // What one wait() reports for this tag; wake-ups and early returns aside.
  std::uint32_t reported(void* tag, nanoseconds timeout = kAtOnce) {
    std::uint32_t what = 0;
    for (const Ready& ready : poller_->wait(timeout)) {
      if (void* const found = ready.tag; found == tag) what |= ready.what;
    }
    return what;
  }
  bool reports_nothing() { return poller_->wait(kAtOnce).empty(); }

  test::Watchdog watchdog_{"PollerTest", test::kWatchdogLimit};
  std::unique_ptr<Poller> poller_;
  std::array<int, 8> tags_{};
};
INSTANTIATE_TEST_SUITE_P(, PollerTest,
                         testing::Values(Backend{"epoll", make_epoll_poller},
                                         Backend{"portable", make_portable_poller}),
                         [](const auto& backend) { return std::string(backend.param.name); });

TEST_P(PollerTest, ReportsInputUntilItIsRead) {
  const Pair pair;
  add(pair.near.get(), Interest::kRead, &tags_[0]);
  EXPECT_TRUE(reports_nothing());
  pair.write();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(reported(&tags_[0], kForEver), kReadable);
  pair.read();
  EXPECT_TRUE(reports_nothing());
}

TEST_P(PollerTest, ReportsOnlyWhatIsWatchedFor) {
  const Pair pair;
  pair.write();
  const int fd = pair.near.get();
  add(fd, Interest::kWrite, &tags_[0]);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(reported(&tags_[0]), kWritable);
  modify(fd, Interest::kNothing, &tags_[0]);
  EXPECT_TRUE(reports_nothing());
  modify(fd, Interest::kRead, &tags_[1]);
  EXPECT_EQ(reported(&tags_[1]), kReadable);
  EXPECT_EQ(reported(&tags_[0]), 0u);
}

TEST_P(PollerTest, ReportsAHangUpWhateverTheInterest) {
  for (const Interest interest : {Interest::kNothing, Interest::kRead, Interest::kWrite}) {
    Pair pair;
    add(pair.near.get(), interest, &tags_[0]);
    pair.far.reset();
    for (int i = 0; i < 3; ++i) EXPECT_NE(reported(&tags_[0]) & kHungUp, 0u);
    poller_->remove(pair.near.get());
    EXPECT_TRUE(reports_nothing());
  }
}

TEST_P(PollerTest, ReportsAFailureWithoutInterest) {
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
  add(listener.get(), Interest::kAccept, &tags_[0]);
  ASSERT_EQ(::connect(client.get(), name, size), 0);
  EXPECT_EQ(reported(&tags_[0], kForEver), kReadable);
  // As a listener is paused: removed and added again.
  poller_->remove(listener.get());
  EXPECT_TRUE(reports_nothing());
  add(listener.get(), Interest::kAccept, &tags_[0]);
  EXPECT_EQ(reported(&tags_[0], kForEver), kReadable);

  const UniqueFd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  add(accepted.get(), Interest::kNothing, &tags_[1]);
  EXPECT_TRUE(reports_nothing());
  const linger reset{1, 0};
  ::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  client.reset();
  EXPECT_NE(reported(&tags_[1], kForEver) & kFailed, 0u);
}

TEST_P(PollerTest, ForgetsWhatIsRemovedAndKeepsTheOthersApart) {
  std::array<Pair, 5> pairs;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    add(pairs[i].near.get(), Interest::kRead, &tags_[i]);
    pairs[i].write();
  }
  for (const std::size_t gone : {1u, 4u, 0u}) {
    poller_->remove(pairs[gone].near.get());
    EXPECT_EQ(reported(&tags_[gone]), 0u);
  }
  EXPECT_EQ(poller_->wait(kForEver).size(), 2u);
  EXPECT_EQ(reported(&tags_[2]), kReadable);
  EXPECT_EQ(reported(&tags_[3]), kReadable);
  modify(pairs[3].near.get(), Interest::kWrite, &tags_[6]);
  EXPECT_EQ(reported(&tags_[6]), kWritable);
  EXPECT_EQ(reported(&tags_[3]), 0u);
  add(pairs[1].near.get(), Interest::kRead, &tags_[7]);
  EXPECT_EQ(reported(&tags_[7]), kReadable);
  EXPECT_EQ(reported(&tags_[1]), 0u);
}

TEST_P(PollerTest, AnotherDescriptorOfTheSameNumberHasItsOwnTag) {
  Pair first;
  const int number = first.near.get();
  add(number, Interest::kRead, &tags_[0]);
  poller_->remove(number);
  first.write();
  const Pair second;
  ASSERT_EQ(::dup3(second.near.get(), number, O_CLOEXEC), number);
  add(number, Interest::kRead, &tags_[1]);
  EXPECT_TRUE(reports_nothing());
  second.write();
  EXPECT_EQ(reported(&tags_[0], kForEver), 0u);
  EXPECT_EQ(reported(&tags_[1]), kReadable);
}

TEST_P(PollerTest, MoreThanOneWaitReportsAreAllReportedInTurn) {
  constexpr std::size_t kMany = 600;
  const Pair pair;
  std::vector<UniqueFd> copies;
  std::vector<int> tags(kMany);
  for (int& tag : tags) {
    copies.emplace_back(::fcntl(pair.near.get(), F_DUPFD_CLOEXEC, 0));
    add(copies.back().get(), Interest::kWrite, &tag);
  }
  std::set<void*> seen;
  for (int i = 0; i < 10 && seen.size() != kMany; ++i) {
    for (const Ready& ready : poller_->wait(kAtOnce)) seen.insert(ready.tag);
  }
  EXPECT_EQ(seen.size(), kMany);
}

TEST_P(PollerTest, AWakeEndsTheNextWaitAndNoOther) {
  for (const int wakes : {1, 3, 200}) {
    for (int i = 0; i < wakes; ++i) poller_->wake();
    for (const Ready& ready : poller_->wait(kForEver)) EXPECT_TRUE(static_cast<void*>(ready.tag) == wake_up_tag());
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
        poller_->wake();
        while (seen.load() < mine) std::this_thread::yield();
      }
      --running;
      poller_->wake();
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
  add(pair.near.get(), Interest::kRead, &tags_[0]);
  pair.write();
  poller_->wake();
  EXPECT_EQ(reported(&tags_[0], kForEver), kReadable);
  EXPECT_EQ(reported(&tags_[0]), kReadable);
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
