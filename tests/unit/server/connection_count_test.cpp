#include "internal/server/connection_count.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "tests/support/enough.hpp"

namespace evio::internal {
namespace {

TEST(ConnectionCountTest, NoneIsTrueOnceAllHaveEndedWhereverTheyDo) {
  ConnectionCount count(3);
  EXPECT_TRUE(count.none());
  count.begin(0);
  count.begin(2);
  EXPECT_FALSE(count.none());
  count.end(1);
  EXPECT_FALSE(count.none());
  count.end(1);
  EXPECT_TRUE(count.none());
}

// Two loops end the last two connections at once: one of them sees that there are none.
TEST(ConnectionCountTest, OfThoseThatEndTheLastOnesOneSeesIt) {
  const test::Enough enough(2000);
  for (std::uint64_t round = 0; !enough.reached(round); ++round) {
    ConnectionCount count(2);
    count.begin(0);
    count.begin(1);
    std::atomic<int> ready{0};
    std::atomic<int> saw{0};
    std::vector<std::thread> threads;
    for (int loop = 0; loop != 2; ++loop) {
      threads.emplace_back([&, loop] {
        ++ready;
        while (ready.load() != 2) {
        }
        count.end(loop);
        if (count.none()) ++saw;
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_GE(saw.load(), 1);
  }
}

// One connection that makes the next before it ends, on another loop: there always is one.
TEST(ConnectionCountTest, NoneIsNeverTrueWhileOneBeginsBeforeTheOtherEnds) {
  ConnectionCount count(4);
  std::atomic<bool> stop{false};
  std::atomic<int> rounds{0};
  count.begin(0);
  std::thread chain([&] {
    for (int loop = 0; !stop.load(); loop = (loop + 1) % 4) {
      count.begin((loop + 1) % 4);
      count.end(loop);
      ++rounds;
    }
  });
  bool none = false;
  while (rounds < 1'000'000 && !none) none = count.none();
  stop = true;
  chain.join();
  EXPECT_FALSE(none);
}

}  // namespace
}  // namespace evio::internal
