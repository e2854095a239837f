#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "examples/redis/command_reader.hpp"

namespace {

using redis::CommandReader;
using Status = CommandReader::Status;
using Lines = std::vector<std::string>;

// What becomes of a whole input: the arguments of each command in brackets, and how it ends.
Lines outcome(std::string_view in, std::size_t cut = std::string_view::npos) {
  Lines seen;
  CommandReader reader;
  std::size_t begin = 0;
  cut = std::min(cut, std::max<std::size_t>(in.size(), 1));
  for (std::size_t end = std::min(cut, in.size());; end = std::min(end + cut, in.size())) {
    while (begin < end) {
      const CommandReader::Result found = reader.read(in.substr(begin, end - begin));
      if (found.status == Status::kMore) break;
      if (found.status == Status::kError) return seen.push_back(std::string(reader.error())), seen;
      std::string line;
      for (std::size_t i = 0; i < reader.size(); ++i) line += "[" + std::string(reader[i]) + "]";
      if (found.status == Status::kCommand) seen.push_back(line);
      begin += found.size;
    }
    if (end == in.size()) break;
  }
  if (begin < in.size()) seen.push_back("more");
  return seen;
}

void expect(const std::string& in, const Lines& wanted) {
  EXPECT_EQ(outcome(in), wanted) << in.substr(0, 200);
  for (const std::size_t cut : {1u, 2u, 3u, 7u}) {
    EXPECT_EQ(outcome(in, cut), wanted) << in.substr(0, 200) << " in pieces of " << cut;
  }
}

TEST(RedisCommandReader, ReadsArrays) {
  expect("*1\r\n$4\r\nPING\r\n", {"[PING]"});
  expect("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\nb\n\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
         {"[SET][k][a\r\nb\n]", "[GET][k]"});
  expect("*2\r\n$0\r\n\r\n$0\r\n\r\n", {"[][]"});
  expect("*2\r\n$4\r\nECHO\r\n$3\r\nab", {"more"});
  expect("*1\r\n$4\r\nPING\r", {"more"});
}

TEST(RedisCommandReader, ReadsInlineCommands) {
  expect("PING\r\n", {"[PING]"});
  expect("PING\n", {"[PING]"});
  expect("  set\tk  v \r\nget k\r\n", {"[set][k][v]", "[get][k]"});
  expect(R"(ECHO "a b\n\x41\"" 'it\'s' "" '\n')"
         "\r\n",
         {"[ECHO][a b\nA\"][it's][][\\n]"});
  expect(R"(ECHO a"b c" "\xZZ\q")"
         "\r\n",
         {"[ECHO][ab c][xZZq]"});
  expect("GET", {"more"});
  expect("$5 x\r\n", {"[$5][x]"});
}

TEST(RedisCommandReader, PassesOverWhatIsEmpty) {
  expect("\r\n\n  \r\n*0\r\n*-1\r\n*-9223372036854775808\r\nPING\r\n", {"[PING]"});
}

TEST(RedisCommandReader, RefusesArraysThatAreNone) {
  for (const char* count : {"", "a", "1a", "+1", " 1", "01", "-0", "1048577", "9223372036854775808", "-"}) {
    expect("*" + std::string(count) + "\r\n", {"invalid multibulk length"});
  }
  expect("*1\n$4\nPING\n", {"invalid multibulk length"});
  expect("*1\rx", {"invalid multibulk length"});
  expect("*1\r\n*1\r\n", {"expected '$', got '*'"});
  expect("*1\r\nPING", {"expected '$', got 'P'"});
  for (const char* size : {"", "a", "-1", "01", "67108865", "99999999999999999999"}) {
    expect("*1\r\n$" + std::string(size) + "\r\n", {"invalid bulk length"});
  }
  expect("*1\r\n$4\r\nPINGPONG\r\n", {"invalid bulk length"});
  expect("PING\r\n*x\r\n", {"[PING]", "invalid multibulk length"});
}

TEST(RedisCommandReader, RefusesQuotesThatDoNotMatch) {
  for (const char* line : {"ECHO \"a", "ECHO 'a", "ECHO \"a\"b", "ECHO 'a'b", "ECHO \"a\\\"", "'", "ECHO \"\\"}) {
    expect(std::string(line) + "\r\n", {"unbalanced quotes in request"});
  }
}

TEST(RedisCommandReader, RefusesWhatIsTooLarge) {
  constexpr std::size_t kMax = CommandReader::kMaxLine;
  expect(std::string(kMax, 'a'), {"more"});
  expect(std::string(kMax + 1, 'a'), {"too big inline request"});
  expect(std::string(kMax + 1, 'a') + "\n", {"too big inline request"});
  expect("*" + std::string(kMax - 1, '1'), {"more"});
  expect("*" + std::string(kMax, '1'), {"too big mbulk count string"});
  expect("*1\r\n$" + std::string(kMax, '1'), {"too big bulk count string"});
  expect("*1\r\n$67108840\r\n", {"more"});
  expect("*2\r\n$20\r\n01234567890123456789\r\n$67108840\r\n", {"invalid bulk length"});
}

TEST(RedisCommandReader, ManySmallArgumentsAreBoundedToo) {
  std::string in = "*1048576\r\n";
  const std::string argument = "$100\r\n" + std::string(100, 'x') + "\r\n";
  while (in.size() < CommandReader::kMaxCommand + 200) in += argument;
  EXPECT_EQ(outcome(in), Lines{"invalid bulk length"});
}

TEST(RedisCommandReader, ManyArgumentsInManyPieces) {
  std::string in = "*100000\r\n";
  for (int i = 0; i < 100000; ++i) in += "$1\r\nx\r\n";
  std::string wanted;
  for (int i = 0; i < 100000; ++i) wanted += "[x]";
  EXPECT_EQ(outcome(in, 5), Lines{wanted});
}

}  // namespace
