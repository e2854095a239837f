// tests/fuzz/run redis_command_reader fuzzes the same property with libFuzzer.

#include <gtest/gtest.h>

#include "examples/redis/command_reader.hpp"
#include "tests/fuzz/in_pieces.hpp"

std::vector<std::string> evio::test::parse(std::string_view in, std::span<const std::size_t> ends) {
  using Status = redis::CommandReader::Status;
  std::vector<std::string> seen;
  redis::CommandReader reader;
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    while (begin < end) {
      const auto [status, size] = reader.read(in.substr(begin, end - begin));
      if (status == Status::kMore) break;
      if (status == Status::kError) return seen.emplace_back(reader.error()), seen;
      EXPECT_GT(size, 0U);
      EXPECT_LE(size, end - begin);
      EXPECT_EQ(reader.size() == 0, status == Status::kNothing);
      std::string line = std::to_string(size);
      for (std::size_t i = 0; i < reader.size(); ++i) line += "[" + std::string(reader[i]) + "]";
      seen.push_back(line);
      begin += size;
    }
  }
  seen.push_back("unread " + std::to_string(in.size() - begin));
  return seen;
}

namespace {

TEST(RedisCommandReaderFuzz, TheOutcomeDoesNotDependOnThePieces) {
  const std::vector<std::string> seeds{
      "*1\r\n$4\r\nPING\r\n",
      "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\na\r\nb\n\r\n",
      "*2\r\n$3\r\nGET\r\n$0\r\n\r\n*0\r\n*-1\r\n",
      "PING\r\n\r\nGET key\n",
      "ECHO \"a\\x41\\n\" 'it\\'s' \"\"\r\n",
      "*2\r\n$4\r\nECHO\r\n$10\r\n0123456789\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nSET k v\r\n",
  };
  evio::test::check_generated(seeds, 20000);
}

}  // namespace
