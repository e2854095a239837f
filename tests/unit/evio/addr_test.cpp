#include "evio/addr.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>

#include <cstring>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "internal/net/socket_address.hpp"

namespace evio {
namespace {

using internal::Network;
using internal::SocketAddress;

Addr v4(const char* ip, std::uint16_t port, Network network = Network::kTcp) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  EXPECT_EQ(::inet_pton(AF_INET, ip, &address.sin_addr), 1);
  return SocketAddress::from(reinterpret_cast<const sockaddr*>(&address), sizeof(address)).to_addr(network);
}

Addr v6(const char* ip, std::uint16_t port, std::uint32_t scope = 0, Network network = Network::kTcp) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  address.sin6_scope_id = scope;
  EXPECT_EQ(::inet_pton(AF_INET6, ip, &address.sin6_addr), 1);
  return SocketAddress::from(reinterpret_cast<const sockaddr*>(&address), sizeof(address)).to_addr(network);
}

Addr path(const std::string& path) { return SocketAddress::unix_path(path).to_addr(Network::kUnix); }

TEST(AddrTest, OfNothingHasNoParts) {
  const Addr addr;
  EXPECT_EQ(addr.network(), "");
  EXPECT_EQ(addr.ip(), "");
  EXPECT_EQ(addr.port(), 0);
  EXPECT_EQ(addr.path(), "");
  EXPECT_EQ(addr.to_string(), "");
  EXPECT_EQ(addr, Addr());
}

TEST(AddrTest, IPv4) {
  const Addr addr = v4("127.0.0.1", 80);
  EXPECT_EQ(addr.network(), "tcp");
  EXPECT_EQ(addr.ip(), "127.0.0.1");
  EXPECT_EQ(addr.port(), 80);
  EXPECT_EQ(addr.path(), "");
  EXPECT_EQ(addr.to_string(), "127.0.0.1:80");
  EXPECT_EQ(v4("255.255.255.255", 65535, Network::kUdp).to_string(), "255.255.255.255:65535");
  EXPECT_EQ(v4("0.0.0.0", 0, Network::kUdp).network(), "udp");
}

TEST(AddrTest, IPv6) {
  const Addr addr = v6("::1", 80);
  EXPECT_EQ(addr.ip(), "::1");
  EXPECT_EQ(addr.port(), 80);
  EXPECT_EQ(addr.to_string(), "[::1]:80");
  EXPECT_EQ(v6("2001:db8::f:1", 1).to_string(), "[2001:db8::f:1]:1");
  EXPECT_EQ(v6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535).to_string(),
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

TEST(AddrTest, AMappedPeerReadsAsADottedQuad) {
  EXPECT_EQ(v6("::ffff:10.1.2.3", 80).to_string(), "10.1.2.3:80");
  EXPECT_EQ(v6("::ffff:10.1.2.3", 80).ip(), "10.1.2.3");
  EXPECT_EQ(v6("::ffff:10.1.2.3", 80), v4("10.1.2.3", 80));
}

TEST(AddrTest, ALinkLocalAddressNamesItsInterface) {
  const std::uint32_t lo = ::if_nametoindex("lo");
  ASSERT_NE(lo, 0u);
  EXPECT_EQ(v6("fe80::1", 80, lo).ip(), "fe80::1%lo");
  EXPECT_EQ(v6("fe80::1", 80, lo).to_string(), "[fe80::1%lo]:80");
  EXPECT_EQ(v6("fe80::1", 80, 4'000'000).ip(), "fe80::1%4000000");
  EXPECT_NE(v6("fe80::1", 80, lo), v6("fe80::1", 80, lo + 1));
}

TEST(AddrTest, APath) {
  const Addr addr = path("/tmp/a socket");
  EXPECT_EQ(addr.network(), "unix");
  EXPECT_EQ(addr.path(), "/tmp/a socket");
  EXPECT_EQ(addr.to_string(), "/tmp/a socket");
  EXPECT_EQ(addr.ip(), "");
  EXPECT_EQ(addr.port(), 0);
  EXPECT_EQ(path("@an abstract name").path(), "@an abstract name");
  const std::string longest(SocketAddress::kLongestPath, 'p');
  EXPECT_EQ(path(longest).path(), longest);
}

TEST(AddrTest, AUnixSocketWithoutAPath) {
  SocketAddress address;
  address.un.sun_family = AF_UNIX;
  address.size = sizeof(sa_family_t);
  const Addr addr = address.to_addr(Network::kUnix);
  EXPECT_EQ(addr.network(), "unix");
  EXPECT_EQ(addr.path(), "");
  EXPECT_EQ(addr.to_string(), "");
  EXPECT_NE(addr, Addr());
}

// Of different addresses, all that differ in one part only.
std::vector<Addr> all_different() {
  return {Addr(),
          v4("127.0.0.1", 80),
          v4("127.0.0.1", 81),
          v4("127.0.0.2", 80),
          v4("127.0.0.1", 80, Network::kUdp),
          v6("::1", 80),
          v6("::1", 81),
          v6("::2", 80),
          v6("7f00:1::", 80),  // the bytes of 127.0.0.1
          v6("::1", 80, 0, Network::kUdp),
          v6("fe80::1", 80, 1),
          v6("fe80::1", 80, 2),
          path("/a"),
          path("/b"),
          path("@a")};
}

TEST(AddrTest, ComparesByEveryPart) {
  const std::vector<Addr> addrs = all_different();
  const std::vector<Addr> again = all_different();
  for (std::size_t i = 0; i != addrs.size(); ++i) {
    for (std::size_t j = 0; j != addrs.size(); ++j) {
      EXPECT_EQ(addrs[i] == again[j], i == j) << i << " " << j;
      EXPECT_EQ(addrs[i]<again[j], again[j]> addrs[i]);
      EXPECT_EQ(addrs[i] < again[j] || again[j] < addrs[i], i != j);
    }
  }
  EXPECT_EQ(std::set<Addr>(addrs.begin(), addrs.end()).size(), addrs.size());
}

TEST(AddrTest, HashesWhatIsEqualAlike) {
  const std::vector<Addr> addrs = all_different();
  std::unordered_set<Addr> set(addrs.begin(), addrs.end());
  EXPECT_EQ(set.size(), addrs.size());
  for (const Addr& addr : all_different()) EXPECT_FALSE(set.insert(addr).second);
  std::set<std::size_t> hashes;
  for (int port = 0; port != 1000; ++port)
    hashes.insert(std::hash<Addr>()(v4("10.0.0.1", static_cast<std::uint16_t>(port))));
  EXPECT_GT(hashes.size(), 990u);
}

TEST(AddrTest, OutlivesWhatItWasCopiedFrom) {
  Addr copy;
  {
    const Addr addr = path("/a/path/that/is/too/long/for/the/string/itself");
    copy = addr;
  }
  EXPECT_EQ(copy.path(), "/a/path/that/is/too/long/for/the/string/itself");
  const Addr moved = std::move(copy);
  EXPECT_EQ(moved.to_string(), "/a/path/that/is/too/long/for/the/string/itself");
}

}  // namespace
}  // namespace evio
