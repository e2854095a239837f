// tests/fuzz/run client_hello fuzzes the same property with libFuzzer.

#include "internal/net/client_hello.hpp"

#include <gtest/gtest.h>

#include "tests/fuzz/in_pieces.hpp"

namespace {

using evio::internal::ClientHello;

}  // namespace

std::vector<std::string> evio::test::parse(std::string_view in, std::span<const std::size_t> ends) {
  for (const std::size_t end : ends) {
    std::string name;
    const ClientHello state = evio::internal::find_server_name(in.substr(0, end), name);
    if (state == ClientHello::kIncomplete) continue;
    if (state == ClientHello::kNotTls) return {"not TLS"};
    EXPECT_LE(name.size(), 255U);
    return {"name", name};
  }
  return {"incomplete"};
}

namespace {

TEST(ClientHelloFuzz, TheOutcomeDoesNotDependOnThePieces) {
  const std::string fixed = "\x03\x03" + std::string(32, 'r') + std::string("\0\0\x02\x13\x01\x01\0", 7);
  const std::string name("\0\x15\0\0\0\x11\0\x0f\0\0\x0cexample.test", 23);
  const std::string hello = std::string("\x01\0\0\x42", 4) + fixed + name;
  std::string spread;
  for (const char c : hello) spread += std::string("\x16\x03\x01\0\x01", 5) + c;
  const std::vector<std::string> seeds{
      std::string("\x16\x03\x01\0\x46", 5) + hello,
      std::string("\x16\x03\x01\0\x06", 5) + hello.substr(0, 6) + std::string("\x16\x03\x03\0\x40", 5) +
          hello.substr(6),
      std::string("\x16\x03\x01\0\x2f\x01\0\0\x2b", 9) + fixed + std::string("\0\0", 2),
      spread,
  };
  evio::test::check_generated(seeds, 20000);
}

}  // namespace
