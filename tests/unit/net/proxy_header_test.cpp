#include "internal/net/proxy_header.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/timing.hpp"

namespace evio::internal {
namespace {

constexpr auto kAny = ProxyVersions::kAny;

std::string zeros(std::size_t n) { return std::string(n, '\0'); }

// A header of version 2: its command and family bytes, and what follows them, behind its length.
std::string v2(char command, char family, const std::string& rest) {
  std::string text("\r\n\r\n\0\r\nQUIT\n", 12);
  text += {command, family, static_cast<char>(rest.size() >> 8), static_cast<char>(rest.size())};
  return text + rest;
}

const std::string kInet("\x0a\x00\x00\x01\xc0\xa8\x01\xff\x00\x50\xff\xff", 12);
const std::string kInet6 = "\xfe\x80" + zeros(13) + "\x01" + zeros(15) + "\x02\x01\x02\x03\x04";

std::string describe(const ProxyHeader& header) {
  std::string text = std::to_string(header.size);
  if (!header.has_addresses) return text;
  for (const SocketAddress& end : {header.source, header.destination})
    text += ' ' + end.to_addr(Network::kTcp).to_string();
  return text;
}

std::string parse(std::string_view bytes, ProxyVersions versions = kAny) {
  ProxyHeader header;
  std::string_view why;
  switch (parse_proxy_header(bytes, versions, header, why)) {
    case ProxyState::kIncomplete:
      return "incomplete";
    case ProxyState::kBad:
      EXPECT_FALSE(why.empty());
      return "bad";
    case ProxyState::kComplete:
      break;
  }
  return describe(header);
}

struct Good {
  std::string bytes;
  std::string ends = "";  // empty: those of the socket
};

std::vector<Good> good_headers() {
  const std::string longest = "PROXY UNKNOWN " + std::string(91, 'x') + "\r\n";
  return {
      {"PROXY TCP4 1.2.3.4 5.6.7.8 1 65535\r\n", " 1.2.3.4:1 5.6.7.8:65535"},
      {"PROXY TCP4 0.0.0.0 255.255.255.255 0 10\r\n", " 0.0.0.0:0 255.255.255.255:10"},
      {"PROXY TCP6 ::1 2001:DB8::2 80 443\r\n", " [::1]:80 [2001:db8::2]:443"},
      {"PROXY TCP6 1:2:3:4:5:6:7:8 1:2:3:4:5:6:7:: 1 2\r\n", " [1:2:3:4:5:6:7:8]:1 [1:2:3:4:5:6:7:0]:2"},
      {"PROXY TCP6 ::ffff:1.2.3.4 :: 1 2\r\n", " 1.2.3.4:1 [::]:2"},
      {"PROXY TCP6 1111:2222:3333:4444:5555:6666:7777:8888 1:2:3:4:5:6:255.255.255.255 65535 65535\r\n",
       " [1111:2222:3333:4444:5555:6666:7777:8888]:65535 [1:2:3:4:5:6:ffff:ffff]:65535"},
      {"PROXY UNKNOWN\r\n"},
      {"PROXY UNKNOWN \r\n"},
      {"PROXY UNKNOWN ffff::1 any\rthing\n\r\r\n"},
      {longest},
      {v2(0x21, 0x11, kInet), " 10.0.0.1:80 192.168.1.255:65535"},
      {v2(0x21, 0x11, kInet + "TLVs"), " 10.0.0.1:80 192.168.1.255:65535"},
      {v2(0x21, 0x11, kInet + zeros(4096 - 12)), " 10.0.0.1:80 192.168.1.255:65535"},
      {v2(0x21, 0x21, kInet6), " [fe80::1]:258 [::2]:772"},
      {v2(0x21, 0x21, kInet6 + zeros(3)), " [fe80::1]:258 [::2]:772"},
      {v2(0x21, 0x12, kInet)},  // datagrams
      {v2(0x21, 0x22, kInet6)},
      {v2(0x21, 0x10, kInet)},  // of no transport
      {v2(0x21, 0x31, zeros(216))},
      {v2(0x21, 0x32, zeros(220))},
      {v2(0x21, 0x00, "")},
      {v2(0x21, 0x01, "TLV")},
      {v2(0x20, 0x00, "")},
      {v2(0x20, 0x11, "")},  // LOCAL: whatever the family says
      {v2(0x20, '\xff', zeros(300))},
  };
}

TEST(ProxyHeaderTest, IsIncompleteUntilItsLastByteAndComplete) {
  for (const Good& good : good_headers()) {
    SCOPED_TRACE(testing::PrintToString(good.bytes.substr(0, 120)));
    for (std::size_t n = 0; n != good.bytes.size(); ++n)
      ASSERT_EQ(parse(std::string_view(good.bytes).substr(0, n)), "incomplete") << n;
    const std::string expected = std::to_string(good.bytes.size()) + good.ends;
    EXPECT_EQ(parse(good.bytes), expected);
    EXPECT_EQ(parse(good.bytes + "GET / HTTP/1.1\r\n"), expected);
    EXPECT_EQ(parse(good.bytes + good.bytes), expected);
  }
}

struct Bad {
  std::string bytes;
  std::size_t at;  // the byte that nothing can make good
  ProxyVersions versions = kAny;
};

std::vector<Bad> bad_headers() {
  const std::string v1 = "PROXY TCP4 1.2.3.4 5.6.7.8 ";
  const std::string signature = v2(0x21, 0x11, kInet).substr(0, 12);
  return {
      {"GET / HTTP/1.1\r\n", 0},
      {zeros(1), 0},
      {"PROXI", 4},
      {"proxy TCP4", 0},
      {"PROXY  TCP4", 6},
      {"PROXY TCP5", 9},
      {"PROXY TCP44", 10},
      {"PROXY UDP4", 7},
      {"PROXY UNKNOWNS", 13},
      {"PROXY UNKNOWN\rx", 14},
      {"PROXY UNKNOWN " + std::string(92, 'x'), 105},  // no room is left for a CRLF
      {"PROXY UNKNOWN " + std::string(91, 'x') + "\rx", 106},
      {"PROXY TCP4  1", 11},
      {"PROXY TCP4 01.2.3.4", 12},
      {"PROXY TCP4 256", 13},
      {"PROXY TCP4 1.2.3 ", 16},
      {"PROXY TCP4 1.2.3.4.", 18},
      {"PROXY TCP4 1.2.3.4\r\n", 18},
      {"PROXY TCP4 1.2.3.4" + zeros(1), 18},
      {"PROXY TCP4 ::1", 11},
      {"PROXY TCP4 1.2.3.4 5.6.7.x", 25},
      {"PROXY TCP6 1.2.3.4", 12},
      {"PROXY TCP6 1::2::", 16},
      {"PROXY TCP6 12345", 15},
      {"PROXY TCP6 g", 11},
      {"PROXY TCP6 :1", 12},
      {"PROXY TCP6 1:2:3:4:5:6:7:8:", 26},
      {"PROXY TCP6 ::1%eth0", 14},
      {"PROXY TCP6 ::ffff:1.2.3.4.", 25},
      {v1 + "+1", 27},
      {v1 + "-1", 27},
      {v1 + " ", 27},
      {v1 + "00", 28},
      {v1 + "01", 28},
      {v1 + "65536", 31},
      {v1 + "100000", 32},
      {v1 + "1  2", 29},
      {v1 + "1\r\n", 28},
      {v1 + "1 \r\n", 29},
      {v1 + "1 2\n", 30},
      {v1 + "1 2 ", 30},
      {v1 + "1 2\r\r", 31},
      // 45 characters each, and then only five are left for " :: 1 1\r\n"
      {"PROXY TCP6 1111:2222:3333:4444:5555:6666:255.255.255.255 1111:2222:3333:4444:5555:6666:255.255.255.255", 101},
      {"\r\n\r\nx", 4},
      {signature + '\x11', 12},
      {signature + '\x31', 12},
      {signature + '\x22', 12},
      {signature + "\x21\x41", 13},
      {signature + "\x21\x13", 13},
      {signature + "\x21\x1f", 13},
      {signature + "\x21\x11" + zeros(1) + '\x0b', 15},
      {signature + "\x21\x12" + zeros(1) + '\x0b', 15},
      {signature + "\x21\x21" + zeros(1) + '\x23', 15},
      {signature + "\x21\x31" + zeros(1) + '\xd7', 15},
      {signature + "\x21\x11\x10\x01", 15},
      {signature + "\x20\x11\x11", 14},
      {signature + "\x20" + zeros(1) + "\xff", 14},
      {v1, 0, ProxyVersions::kV2},
      {v2(0x21, 0x11, kInet), 0, ProxyVersions::kV1},
  };
}

TEST(ProxyHeaderTest, IsBadAsSoonAsItCannotBecomeGood) {
  for (const Bad& bad : bad_headers()) {
    SCOPED_TRACE(testing::PrintToString(bad.bytes));
    for (std::size_t n = 0; n <= bad.bytes.size(); ++n) {
      const std::string state = parse(std::string_view(bad.bytes).substr(0, n), bad.versions);
      ASSERT_EQ(state, n <= bad.at ? "incomplete" : "bad") << n;
    }
  }
}

TEST(ProxyHeaderTest, OneVersionMayBeAskedFor) {
  const std::string one = "PROXY UNKNOWN\r\n";
  const std::string two = v2(0x20, 0, "");
  EXPECT_EQ(parse(one, ProxyVersions::kV1), "15");
  EXPECT_EQ(parse(two, ProxyVersions::kV2), "16");
  EXPECT_EQ(parse(one, ProxyVersions::kV2), "bad");
  EXPECT_EQ(parse(two, ProxyVersions::kV1), "bad");
}

// The same by other means, of a header that is whole.
std::string reference_v1(const std::string& bytes) {
  const std::size_t end = bytes.find("\r\n", std::string_view("PROXY UNKNOWN").size());
  if (!bytes.starts_with("PROXY ") || end == std::string::npos || end + 2 > 107) return {};
  const std::string line = bytes.substr(0, end);
  if (line == "PROXY UNKNOWN" || line.starts_with("PROXY UNKNOWN ")) return std::to_string(end + 2);
  std::vector<std::string> words;
  std::istringstream in(line);
  for (std::string word; std::getline(in, word, ' ');) words.push_back(word);
  if (words.size() != 6 || line.ends_with(' ')) return {};
  const int family = words[1] == "TCP4" ? AF_INET : words[1] == "TCP6" ? AF_INET6 : AF_UNSPEC;
  std::string ends;
  for (const std::size_t i : {2U, 3U}) {
    SocketAddress address;
    address.v6 = {};
    address.any.sa_family = static_cast<sa_family_t>(family);
    void* const ip = family == AF_INET ? static_cast<void*>(&address.v4.sin_addr) : &address.v6.sin6_addr;
    if (words[i].find('\0') != std::string::npos || ::inet_pton(family, words[i].c_str(), ip) != 1) return {};
    const int port = std::atoi(words[i + 2].c_str());
    if (std::to_string(port) != words[i + 2] || port < 0 || port > 65535) return {};
    (family == AF_INET ? address.v4.sin_port : address.v6.sin6_port) = htons(static_cast<in_port_t>(port));
    ends += ' ' + address.to_addr(Network::kTcp).to_string();
  }
  return std::to_string(end + 2) + ends;
}

std::string reference_v2(const std::string& bytes) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  if (bytes.size() < 16 || bytes.compare(0, 12, v2(0, 0, ""), 0, 12) != 0) return {};
  const std::size_t length = at(14) * 256U + at(15);
  if (length > 4096 || bytes.size() < 16 + length) return {};
  const std::string size = std::to_string(16 + length);
  if (at(12) == 0x20) return size;
  const std::size_t least[] = {0, 12, 36, 216};
  const unsigned family = at(13) / 16;
  const unsigned transport = at(13) % 16;
  if (at(12) != 0x21 || family > 3 || transport > 2 || length < least[family]) return {};
  if (transport != 1 || family == 0 || family == 3) return size;
  std::string ends;
  const std::size_t ip = family == 1 ? 4 : 16;
  for (std::size_t i = 0; i != 2; ++i) {
    SocketAddress address;
    address.v6 = {};
    address.any.sa_family = family == 1 ? AF_INET : AF_INET6;
    bytes.copy(
        family == 1 ? reinterpret_cast<char*>(&address.v4.sin_addr) : reinterpret_cast<char*>(&address.v6.sin6_addr),
        ip, 16 + i * ip);
    bytes.copy(reinterpret_cast<char*>(&address.v4.sin_port), 2, 16 + 2 * ip + 2 * i);
    ends += ' ' + address.to_addr(Network::kTcp).to_string();
  }
  return size + ends;
}

std::string reference(const std::string& bytes) {
  return bytes.starts_with('P') ? reference_v1(bytes) : reference_v2(bytes);
}

std::string mutated(std::string bytes, std::minstd_rand& random) {
  static constexpr std::string_view kLikely(" \r\n.:0123456789f\0\x10\x11\x12\x20\x21\x22\xff", 25);
  for (auto changes = random() % 3; changes != 0 && !bytes.empty(); --changes) {
    const std::size_t i = random() % std::min<std::size_t>(bytes.size(), 120);
    const char c = kLikely[random() % kLikely.size()];
    switch (random() % 3) {
      case 0:
        bytes[i] = c;
        break;
      case 1:
        bytes.insert(i, 1, c);
        break;
      default:
        bytes.erase(i, 1 + random() % 3);
    }
  }
  return bytes;
}

std::vector<std::string> seeds() {
  std::vector<std::string> seeds{"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "PROXY TCP6 :: :: 0 0\r\n"};
  for (Good& good : good_headers()) seeds.push_back(std::move(good.bytes));
  return seeds;
}

TEST(ProxyHeaderTest, SaysWhatAReferenceSaysOfChangedHeaders) {
  std::minstd_rand random(1);
  const std::vector<std::string> from = seeds();
  for (int i = 0; i != 100'000; ++i) {
    const std::string bytes = mutated(from[random() % from.size()], random);
    const std::string expected = reference(bytes);
    const std::string found = parse(bytes);
    ASSERT_EQ(found == "bad" || found == "incomplete" ? "" : found, expected) << testing::PrintToString(bytes);
  }
}

// Some end of a good header completes it. The shortest ends come first.
bool can_become_good(const std::string& bytes, const std::vector<std::string>& from) {
  for (const std::string& seed : from) {
    for (std::size_t n = 0; n <= std::min<std::size_t>(seed.size(), 120); ++n) {
      if (!reference(bytes + seed.substr(seed.size() - n)).empty()) return true;
      if (!reference(bytes + seed.substr(n)).empty()) return true;
    }
  }
  return !reference(bytes + zeros(5000)).empty();
}

TEST(ProxyHeaderTest, WhatIsIncompleteCanBecomeGoodAndWhatIsBadCannot) {
  std::minstd_rand random(2);
  const std::vector<std::string> from = seeds();
  for (int i = 0; i != (test::kSanitized ? 500 : 2'000); ++i) {
    const std::string whole = mutated(from[random() % from.size()], random).substr(0, 130);
    std::size_t n = 0;
    while (n <= whole.size() && parse(std::string_view(whole).substr(0, n)) == "incomplete") ++n;
    const std::string last = whole.substr(0, n == 0 ? 0 : n - 1);
    EXPECT_TRUE(can_become_good(last, from)) << testing::PrintToString(last);
    if (n > whole.size() || parse(whole.substr(0, n)) != "bad") continue;
    EXPECT_FALSE(can_become_good(whole.substr(0, n), from)) << testing::PrintToString(whole.substr(0, n));
    EXPECT_EQ(parse(whole), "bad");
  }
}

}  // namespace
}  // namespace evio::internal
