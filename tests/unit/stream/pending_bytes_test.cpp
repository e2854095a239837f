// What is counted from several threads at once: never more than the limit, and never more or less than there is.
#include "internal/stream/pending_bytes.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "tests/support/enough.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::internal {
namespace {

using test::Enough;
using test::Watchdog;

class PendingBytesTest : public testing::Test {
 protected:
  // Runs `loop` on this thread, again and again, and `others` on two threads each; then they end.
  template <class Loop, class... Others>
  void race(Loop loop, Others... others) {
    const Watchdog watchdog("PendingBytesTest", test::kWatchdogLimit);
    std::vector<std::thread> threads;
    for (int i = 0; i != 2; ++i) {
      (threads.emplace_back([this, others] {
        while (!over()) others();
      }),
       ...);
    }
    const Enough enough(50'000'000, 1'000);
    for (std::uint64_t i = 0; i % 1'000 != 0 || !enough.reached(i); ++i) loop();
    over_ = true;
    for (std::thread& thread : threads) thread.join();
  }

  bool over() const { return over_.load(std::memory_order_relaxed); }

  PendingBytes pending_;
  std::atomic<bool> over_{false};
};

TEST_F(PendingBytesTest, CountsWhatBothSidesAdd) {
  EXPECT_EQ(pending_.now(), 0u);
  EXPECT_TRUE(pending_.reserve(10));
  pending_.add(5);
  EXPECT_EQ(pending_.now(), 15u);
  pending_.remove(12);
  EXPECT_EQ(pending_.now(), 3u);
  pending_.release(3);
  EXPECT_EQ(pending_.now(), 0u);
}

TEST_F(PendingBytesTest, ALimitIsReachedAndNotExceeded) {
  pending_.set_limit(100);
  EXPECT_FALSE(pending_.reserve(101));
  EXPECT_TRUE(pending_.reserve(60));
  EXPECT_FALSE(pending_.add_within_limit(41));
  EXPECT_TRUE(pending_.add_within_limit(40));
  EXPECT_FALSE(pending_.reserve(1));
  EXPECT_FALSE(pending_.add_within_limit(1));
  EXPECT_TRUE(pending_.reserve(0));
  pending_.remove(1);
  EXPECT_TRUE(pending_.reserve(1));
  EXPECT_EQ(pending_.now(), 100u);
}

TEST_F(PendingBytesTest, WhatIsNotLimitedMayExceedIt) {
  pending_.set_limit(100);
  pending_.add(1'000);
  EXPECT_FALSE(pending_.reserve(1));
  EXPECT_FALSE(pending_.add_within_limit(1));
  EXPECT_FALSE(pending_.reserve(static_cast<std::size_t>(-1'000))) << "a sum that wraps around";
}

// A loop that writes whatever was added, adds itself, and looks: so does another thread.
TEST_F(PendingBytesTest, ThreadsThatRaceNeverExceedTheLimit) {
  constexpr std::size_t kLimit = 100;
  pending_.set_limit(kLimit);
  std::atomic<std::size_t> added{0};  // by others, and not written
  std::atomic<std::size_t> most{0};
  const auto look = [&] {
    const std::size_t now = pending_.now();
    if (now > most.load(std::memory_order_relaxed)) most = now;
  };
  std::size_t own = 0;
  race(
      [&] {
        if (pending_.add_within_limit(60)) own += 60;
        look();
        const std::size_t theirs = added.exchange(0, std::memory_order_acquire);
        pending_.remove(theirs + own);
        own = 0;
      },
      [&] {
        if (pending_.reserve(60)) added.fetch_add(60, std::memory_order_release);
      },
      look);
  EXPECT_LE(most.load(), kLimit);
}

// At most two threads have a byte each at any time, for all of which there is room.
TEST_F(PendingBytesTest, NothingIsRefusedThatFits) {
  pending_.set_limit(2);
  std::atomic<std::size_t> added{0};
  std::atomic<int> refused{0};
  race(
      [&] {
        // It is written before those who added it go on, so there never is more than what the two have under way.
        const std::size_t theirs = added.load(std::memory_order_acquire);
        pending_.remove(theirs);
        added.fetch_sub(theirs, std::memory_order_release);
      },
      [&] {
        if (!pending_.reserve(1)) {
          ++refused;
          return;
        }
        added.fetch_add(1, std::memory_order_release);
        while (added.load(std::memory_order_acquire) != 0 && !over()) std::this_thread::yield();
      });
  EXPECT_EQ(refused.load(), 0);
}

}  // namespace
}  // namespace evio::internal
