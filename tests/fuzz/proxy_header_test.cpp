// tests/fuzz/run proxy_header fuzzes the same property with libFuzzer.

#include "internal/net/proxy_header.hpp"

#include <gtest/gtest.h>

#include "tests/fuzz/in_pieces.hpp"

namespace {

using evio::internal::ProxyHeader;
using evio::internal::ProxyState;
using evio::internal::ProxyVersions;

}  // namespace

std::vector<std::string> evio::test::parse(std::string_view in, std::span<const std::size_t> ends) {
  for (const std::size_t end : ends) {
    ProxyHeader header;
    std::string_view why;
    const ProxyState state = evio::internal::parse_proxy_header(in.substr(0, end), ProxyVersions::kAny, header, why);
    if (state == ProxyState::kIncomplete) continue;
    if (state == ProxyState::kBad) return {"bad"};
    EXPECT_LE(header.size, end);
    EXPECT_LE(header.size, 16U + 4096U);
    std::vector<std::string> seen{"good", std::to_string(header.size)};
    if (!header.has_addresses) return seen;
    for (const auto& address : {header.source, header.destination})
      seen.push_back(address.to_addr(evio::internal::Network::kTcp).to_string());
    return seen;
  }
  return {"incomplete"};
}

namespace {

TEST(ProxyHeaderFuzz, TheOutcomeDoesNotDependOnThePieces) {
  const std::string signature("\r\n\r\n\0\r\nQUIT\n", 12);
  const std::vector<std::string> seeds{
      "PROXY TCP4 192.168.0.1 10.0.0.255 56324 443\r\n",
      "PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 56324 443\r\n",
      "PROXY UNKNOWN\r\n",
      "PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
      signature + std::string("\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\x50\x01\xbb", 16),
      signature + std::string("\x21\x21\0\x28", 4) + std::string(40, '\1'),
      signature + std::string("\x20\0\0\0", 4),
      signature + std::string("\x21\x31\0\xd8", 4) + std::string(216, 'x'),
  };
  evio::test::check_generated(seeds, 20000);
}

}  // namespace
