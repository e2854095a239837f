#include "internal/server/peer_limit.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "internal/net/socket_address.hpp"

namespace evio::internal {
namespace {

Addr v4(const char* ip, std::uint16_t port = 1) {
  SocketAddress address;
  address.v4.sin_family = AF_INET;
  address.v4.sin_port = htons(port);
  EXPECT_EQ(::inet_pton(AF_INET, ip, &address.v4.sin_addr), 1);
  return address.to_addr(Network::kTcp);
}

Addr v6(const char* ip, std::uint16_t port = 1) {
  SocketAddress address;
  address.v6.sin6_family = AF_INET6;
  address.v6.sin6_port = htons(port);
  EXPECT_EQ(::inet_pton(AF_INET6, ip, &address.v6.sin6_addr), 1);
  return address.to_addr(Network::kTcp);
}

TEST(PeerLimitTest, ZeroAndLessAreNoLimit) {
  for (const int none : {0, -1}) {
    PeerLimit limit(none);
    EXPECT_FALSE(limit.is_set());
    for (int i = 0; i != 10; ++i) EXPECT_TRUE(limit.add(v4("192.0.2.1")));
    limit.remove(v4("192.0.2.1"));
  }
}

TEST(PeerLimitTest, CountsByIpWithoutThePort) {
  PeerLimit limit(2);
  EXPECT_TRUE(limit.is_set());
  EXPECT_TRUE(limit.add(v4("192.0.2.1", 1)));
  EXPECT_TRUE(limit.add(v4("192.0.2.1", 2)));
  EXPECT_FALSE(limit.add(v4("192.0.2.1", 3)));
  EXPECT_TRUE(limit.add(v4("192.0.2.2")));
  EXPECT_TRUE(limit.add(v4("192.0.3.1")));
  limit.remove(v4("192.0.2.1", 4));
  EXPECT_TRUE(limit.add(v4("192.0.2.1", 5)));
  EXPECT_FALSE(limit.add(v4("192.0.2.1", 6)));
}

TEST(PeerLimitTest, AMappedAddressIsTheIPv4Address) {
  PeerLimit limit(1);
  EXPECT_TRUE(limit.add(v4("192.0.2.1")));
  EXPECT_FALSE(limit.add(v6("::ffff:192.0.2.1")));
  EXPECT_TRUE(limit.add(v6("::ffff:192.0.2.2")));
  limit.remove(v6("::ffff:192.0.2.1"));
  EXPECT_TRUE(limit.add(v4("192.0.2.1")));
}

TEST(PeerLimitTest, ASixtyFourIsOnePeer) {
  PeerLimit limit(2);
  EXPECT_TRUE(limit.add(v6("2001:db8:1:2::1")));
  EXPECT_TRUE(limit.add(v6("2001:db8:1:2:ffff:ffff:ffff:ffff")));
  EXPECT_FALSE(limit.add(v6("2001:db8:1:2:8000::")));
  EXPECT_TRUE(limit.add(v6("2001:db8:1:3::1"))) << "the next one";
  EXPECT_TRUE(limit.add(v6("2001:db9:1:2::1")));
  limit.remove(v6("2001:db8:1:2:5::"));
  EXPECT_TRUE(limit.add(v6("2001:db8:1:2::2")));
}

TEST(PeerLimitTest, NoIPv4AddressIsAnIPv6One) {
  PeerLimit limit(1);
  EXPECT_TRUE(limit.add(v4("192.0.2.1")));
  EXPECT_TRUE(limit.add(v6("0:0:c000:201::1"))) << "the same number";
  EXPECT_TRUE(limit.add(v6("::1")));
  EXPECT_TRUE(limit.add(v4("0.0.0.0")));
}

TEST(PeerLimitTest, UnixSocketsAreExempt) {
  PeerLimit limit(1);
  const Addr peer = SocketAddress::unix_path("/tmp/peer").to_addr(Network::kUnix);
  for (const Addr& unix_peer : {peer, Addr(), peer}) {
    EXPECT_TRUE(limit.add(unix_peer));
    EXPECT_TRUE(limit.add(unix_peer));
    limit.remove(unix_peer);
  }
}

TEST(PeerLimitTest, KeepsNothingOfAPeerThatHasGone) {
  PeerLimit limit(2);
  for (int i = 0; i != 2; ++i) EXPECT_TRUE(limit.add(v4("192.0.2.1")));
  EXPECT_TRUE(limit.add(v6("2001:db8::1")));
  EXPECT_FALSE(limit.add(v4("192.0.2.1")));
  EXPECT_EQ(limit.peers(), 2u);
  limit.remove(v4("192.0.2.1"));
  EXPECT_EQ(limit.peers(), 2u);
  limit.remove(v4("192.0.2.1"));
  limit.remove(v6("2001:db8::1"));
  EXPECT_EQ(limit.peers(), 0u);
}

TEST(PeerLimitTest, IsExactAcrossThreads) {
  PeerLimit limit(3);
  std::atomic<int> open{0};
  std::vector<std::thread> threads;
  for (int i = 0; i != 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k != 20'000; ++k) {
        if (!limit.add(v4("192.0.2.1"))) continue;
        EXPECT_LE(++open, 3);
        --open;
        limit.remove(v4("192.0.2.1"));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i != 3; ++i) EXPECT_TRUE(limit.add(v4("192.0.2.1")));
  EXPECT_FALSE(limit.add(v4("192.0.2.1")));
}

}  // namespace
}  // namespace evio::internal
