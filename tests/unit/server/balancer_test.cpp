#include "internal/server/balancer.hpp"

#include <gtest/gtest.h>

#include <array>
#include <mutex>
#include <thread>
#include <vector>

namespace evio::internal {
namespace {

TEST(BalancerTest, RoundRobinGoesRoundWhereverItIsAsked) {
  Balancer balancer(LoadBalance::RoundRobin, 3);
  for (int i = 0; i < 9; ++i) EXPECT_EQ(balancer.choose(i % 2, i % 2 == 0, 7), i % 3);
  balancer.on_closed(1);
  EXPECT_EQ(balancer.choose(0, false, 7), 0);
}

TEST(BalancerTest, LeastConnectionsChoosesTheEmptiest) {
  Balancer balancer(LoadBalance::LeastConnections, 3);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(balancer.choose(2, true, 7), i % 3);
  balancer.on_closed(1);
  balancer.on_closed(1);
  balancer.on_closed(2);
  EXPECT_EQ(balancer.choose(0, false, 7), 1);
  EXPECT_EQ(balancer.choose(0, false, 7), 1);
  EXPECT_EQ(balancer.choose(0, false, 7), 2);
  EXPECT_EQ(balancer.choose(0, false, 7), 0);
}

TEST(BalancerTest, LeastConnectionsStaysEvenUnderContention) {
  constexpr std::size_t kLoops = 4;
  constexpr int kEach = 1'000;
  Balancer balancer(LoadBalance::LeastConnections, kLoops);
  std::array<int, kLoops> chosen{};
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kLoops; ++i) {
    threads.emplace_back([&] {
      std::array<int, kLoops> own{};
      for (int k = 0; k < kEach; ++k) ++own[static_cast<std::size_t>(balancer.choose(0, false, 0))];
      const std::lock_guard lock(mutex);
      for (std::size_t loop = 0; loop < kLoops; ++loop) chosen[loop] += own[loop];
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int count : chosen) EXPECT_EQ(count, kEach);
}

TEST(BalancerTest, RandomGoesByTheNumberUnlessTheKernelHasChosen) {
  Balancer balancer(LoadBalance::Random, 4);
  for (unsigned number = 0; number < 12; ++number) {
    EXPECT_EQ(balancer.choose(2, false, number), static_cast<int>(number % 4));
    EXPECT_EQ(balancer.choose(2, true, number), 2);
  }
  balancer.on_closed(2);
}

}  // namespace
}  // namespace evio::internal
