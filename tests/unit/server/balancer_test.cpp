#include "internal/server/balancer.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "internal/net/socket_address.hpp"

namespace evio::internal {
namespace {

const Addr kPeer;

TEST(BalancerTest, RoundRobinGoesRoundWhereverItIsAsked) {
  Balancer balancer(LoadBalance::RoundRobin, 3);
  for (int i = 0; i < 9; ++i) EXPECT_EQ(balancer.choose(i % 2, i % 2 == 0, 7, kPeer), i % 3);
  balancer.on_closed(1);
  EXPECT_EQ(balancer.choose(0, false, 7, kPeer), 0);
}

TEST(BalancerTest, LeastConnectionsChoosesTheEmptiest) {
  Balancer balancer(LoadBalance::LeastConnections, 3);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(balancer.choose(2, true, 7, kPeer), i % 3);
  balancer.on_closed(1);
  balancer.on_closed(1);
  balancer.on_closed(2);
  EXPECT_EQ(balancer.choose(0, false, 7, kPeer), 1);
  EXPECT_EQ(balancer.choose(0, false, 7, kPeer), 1);
  EXPECT_EQ(balancer.choose(0, false, 7, kPeer), 2);
  EXPECT_EQ(balancer.choose(0, false, 7, kPeer), 0);
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
      for (int k = 0; k < kEach; ++k) ++own[static_cast<std::size_t>(balancer.choose(0, false, 0, kPeer))];
      const std::lock_guard lock(mutex);
      for (std::size_t loop = 0; loop < kLoops; ++loop) chosen[loop] += own[loop];
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int count : chosen) EXPECT_EQ(count, kEach);
}

Addr v4_peer(const std::array<unsigned char, 4>& ip, std::uint16_t port = 1) {
  SocketAddress address;
  address.v4.sin_family = AF_INET;
  address.v4.sin_port = htons(port);
  std::memcpy(&address.v4.sin_addr, ip.data(), ip.size());
  return address.to_addr(Network::kTcp);
}

Addr v6_peer(const std::array<unsigned char, 16>& ip, std::uint16_t port = 1) {
  SocketAddress address;
  address.v6.sin6_family = AF_INET6;
  address.v6.sin6_port = htons(port);
  std::memcpy(&address.v6.sin6_addr, ip.data(), ip.size());
  return address.to_addr(Network::kTcp);
}

TEST(BalancerTest, SourceAddrHashGoesByTheIpAlone) {
  Balancer balancer(LoadBalance::SourceAddrHash, 64);
  for (unsigned char last = 0; last < 100; ++last) {
    const std::array<unsigned char, 4> ip{192, 0, 2, last};
    const int loop = balancer.choose(0, false, 1, v4_peer(ip, 1));
    EXPECT_EQ(balancer.choose(5, true, 2, v4_peer(ip, 2)), loop);
    const std::array<unsigned char, 16> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, last};
    EXPECT_EQ(balancer.choose(0, false, 1, v6_peer(mapped)), loop);
    const std::array<unsigned char, 16> v6{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last};
    EXPECT_EQ(balancer.choose(0, false, 1, v6_peer(v6, 1)), balancer.choose(5, true, 2, v6_peer(v6, 2)));
  }
}

// Whichever of its bytes tells a peer from the others, and however many loops there are: so many peers that the
// deviation of a loop is a tenth of its share at most, and half and double are beyond chance.
TEST(BalancerTest, SourceAddrHashSpreadsPeers) {
  for (const std::size_t loops : {2u, 3u, 4u, 16u}) {
    for (std::size_t at = 0; at != 15; ++at) {
      SCOPED_TRACE(std::to_string(loops) + " loops, by byte " + std::to_string(at));
      Balancer balancer(LoadBalance::SourceAddrHash, static_cast<int>(loops));
      std::vector<int> v4(loops);
      std::vector<int> v6(loops);
      for (unsigned i = 0; i != 2'000; ++i) {
        std::array<unsigned char, 16> ip{0x20, 1, 0xd, 0xb8};
        ip[at] = static_cast<unsigned char>(i / 256 + 1);
        ip[at + 1] = static_cast<unsigned char>(i % 256);
        ++v6[static_cast<std::size_t>(balancer.choose(0, false, 0, v6_peer(ip)))];
        const std::array<unsigned char, 4> low{ip[at], 2, 3, ip[at + 1]};
        ++v4[static_cast<std::size_t>(balancer.choose(0, false, 0, v4_peer(low)))];
      }
      const int share = static_cast<int>(2'000 / loops);
      for (const auto& counts : {v4, v6}) {
        for (const int count : counts) {
          EXPECT_GT(count, share / 2);
          EXPECT_LT(count, share * 2);
        }
      }
    }
  }
}

TEST(BalancerTest, SourceAddrHashGoesRoundWithoutAnIp) {
  Balancer balancer(LoadBalance::SourceAddrHash, 3);
  const Addr unix_peer = SocketAddress::unix_path("/tmp/peer").to_addr(Network::kUnix);
  for (int i = 0; i < 9; ++i) EXPECT_EQ(balancer.choose(0, false, 7, i % 2 == 0 ? unix_peer : Addr()), i % 3);
}

TEST(BalancerTest, RandomGoesByTheNumberUnlessTheKernelHasChosen) {
  Balancer balancer(LoadBalance::Random, 4);
  for (unsigned number = 0; number < 12; ++number) {
    EXPECT_EQ(balancer.choose(2, false, number, kPeer), static_cast<int>(number % 4));
    EXPECT_EQ(balancer.choose(2, true, number, kPeer), 2);
  }
  balancer.on_closed(2);
}

}  // namespace
}  // namespace evio::internal
