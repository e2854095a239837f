// tests/fuzz/run http_framer fuzzes the same property with libFuzzer.

#include <gtest/gtest.h>

#include "examples/http/framer.hpp"
#include "examples/http/request.hpp"
#include "examples/http/uri.hpp"
#include "tests/fuzz/in_pieces.hpp"

namespace {

// A request that was found must come apart in pieces of itself.
std::string take_apart(std::string_view whole) {
  std::string storage;
  const http::Request request = http::parse(whole, storage);
  std::string line;
  for (const std::string_view part :
       {request.method, request.authority, request.path, request.query, request.proto, request.head}) {
    EXPECT_TRUE(part.empty() || part == "/" ||
                (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size()));
    line += std::string(part) + "|";
  }
  EXPECT_LE(request.body.size(), whole.size());
  EXPECT_FALSE(request.method.empty());
  EXPECT_TRUE(request.proto.starts_with("HTTP/1."));
  EXPECT_TRUE(http::is_authority(request.host()));
  return line + std::string(request.body) + std::string(request.host());
}

}  // namespace

std::vector<std::string> evio::test::parse(std::string_view in, std::span<const std::size_t> ends) {
  std::vector<std::string> seen;
  http::Framer framer;
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    while (begin < end) {
      const auto [status, size] = framer.find_end(in.substr(begin, end - begin));
      if (status == http::Status::kMore) break;
      seen.push_back(std::to_string(static_cast<int>(status)) + " " + std::to_string(size));
      if (status == http::Status::kContinue) continue;
      if (status != http::Status::kDone) return seen;
      EXPECT_GT(size, 0U);
      EXPECT_LE(size, end - begin);
      seen.back() += framer.keeps_alive() ? " " : " close ";
      seen.back() += take_apart(in.substr(begin, size));
      begin += size;
    }
  }
  seen.push_back("unread " + std::to_string(in.size() - begin));
  return seen;
}

namespace {

TEST(HttpFramerFuzz, TheOutcomeDoesNotDependOnThePieces) {
  const std::vector<std::string> seeds{
      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /a?b=c HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n",
      "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789",
      "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n8;x=y\r\n01234567\r\n0\r\nT: "
      "u\r\n\r\n",
      "POST /p HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
      "HEAD / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
      "GET http://a.b:80/p?q HTTP/1.1\r\nHost: [::1]:8080\r\nHost: %41\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost:\r\nTransfer-Encoding: , chunked\r\n\r\n1 ;a = \"b\"\r\nx\r\n0;\r\n\r\n",
      "CONNECT x:80 HTTP/2.0\r\nTransfer-Encoding: gzip\r\n\r\n",
  };
  evio::test::check_generated(seeds, 20000);
}

}  // namespace
