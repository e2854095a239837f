#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <regex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/example_program.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::test {
namespace {

std::string times(int n, std::string_view text) {
  std::string all;
  while (n-- > 0) all += text;
  return all;
}

std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

std::string command(const std::vector<std::string>& args) {
  std::string all = "*" + std::to_string(args.size()) + "\r\n";
  for (const std::string& arg : args) all += bulk(arg);
  return all;
}

const std::string kOk = "+OK\r\n";
const std::string kPong = "+PONG\r\n";
const std::string kNull = "$-1\r\n";

// All that is answered to `commands` before the stream ends.
std::string answer(Client client, std::string_view commands) {
  client.send_all(commands);
  client.shutdown_write();
  return client.receive_all();
}

class RedisExample : public testing::TestWithParam<std::string> {
 protected:
  // With the flag that this instance is about, and without the unix socket that is there by default.
  static std::vector<std::string> args(std::vector<std::string> more = {}) {
    std::vector<std::string> all{"--port=0", "--unixsocket=", GetParam()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static constexpr const char* kProgram = EVIO_EXAMPLES_DIR "/redis";

 private:
  Watchdog watchdog_{"a redis test", kWatchdogLimit};
};

INSTANTIATE_TEST_SUITE_P(, RedisExample, testing::Values("--loops=1", "--loops=4", "--stdlib"),
                         [](const auto& instance) {
                           return std::regex_replace(instance.param, std::regex("[^a-z0-9]"), "");
                         });

TEST_P(RedisExample, AnswersAsEvioDoes) {
  Program redis(kProgram, args());
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"PING"}, kPong},
      {{"ping", "hello"}, bulk("hello")},
      {{"PING", "a", "b"}, "-ERR wrong number of arguments for 'PING' command\r\n"},
      {{"ECHO", ""}, bulk("")},
      {{"Echo"}, "-ERR wrong number of arguments for 'Echo' command\r\n"},
      {{"GET", "k"}, kNull},
      {{"SET", "k", "v"}, kOk},
      {{"GET", "k"}, bulk("v")},
      {{"set", "k", "a longer value, with\r\nlines and \xff"}, kOk},
      {{"get", "k"}, bulk("a longer value, with\r\nlines and \xff")},
      {{"SET", "k"}, "-ERR wrong number of arguments for 'SET' command\r\n"},
      {{"SET", "k", "v", "EX"}, "-ERR wrong number of arguments for 'SET' command\r\n"},
      {{"GET"}, "-ERR wrong number of arguments for 'GET' command\r\n"},
      {{"SET", "", "empty"}, kOk},
      {{"GET", ""}, bulk("empty")},
      {{"DEL", "k", "none", "k", ""}, ":2\r\n"},
      {{"DEL"}, "-ERR wrong number of arguments for 'DEL' command\r\n"},
      {{"GET", "k"}, kNull},
      {{"SET", "k", "v"}, kOk},
      {{"FLUSHDB"}, kOk},
      {{"GET", "k"}, kNull},
      {{"CONFIG", "GET", "save"}, "-ERR unknown command 'CONFIG'\r\n"},
      {{""}, "-ERR unknown command ''\r\n"},
      {{"a\r\nb"}, "-ERR unknown command 'a  b'\r\n"},
      {{std::string(1000, 'x')}, "-ERR unknown command '" + std::string(128, 'x') + "'\r\n"},
  };
  Client client = redis.connect();
  std::string all_commands;
  std::string all_answers;
  for (const auto& [args, wanted] : cases) {
    client.send_all(command(args));
    EXPECT_EQ(client.receive(wanted.size()), wanted);
    all_commands += command(args);
    all_answers += wanted;
  }
  EXPECT_EQ(answer(redis.connect(), all_commands), all_answers);
}

TEST_P(RedisExample, TakesInlineCommands) {
  Program redis(kProgram, args());
  EXPECT_EQ(answer(redis.connect(), "\r\nset k \"a \\x62\"\nGET k\r\n*0\r\nPING\r\nECHO 'x'\r\n"),
            kOk + bulk("a b") + kPong + bulk("x"));
}

TEST_P(RedisExample, AHundredCommandsByteByByte) {
  Program redis(kProgram, args());
  Client client = redis.connect();
  for (int i = 0; i < 100; ++i) {
    const std::string value = "value\r\n" + std::to_string(i);
    for (const char byte : command({"SET", "k", value})) client.send_all(std::string_view(&byte, 1));
    for (const char byte : std::string_view("GET k\r\n")) client.send_all(std::string_view(&byte, 1));
    ASSERT_EQ(client.receive((kOk + bulk(value)).size()), kOk + bulk(value));
  }
}

TEST_P(RedisExample, ACommandCutAnywhere) {
  Program redis(kProgram, args());
  Client client = redis.connect();
  const std::string both = command({"ECHO", "a\r\nb"}) + "ECHO \"c d\"\r\n";
  for (std::size_t cut = 1; cut < both.size(); ++cut) {
    client.send_all(both.substr(0, cut));
    client.send_all(both.substr(cut) + "PING\r\n");
    const std::string wanted = bulk("a\r\nb") + bulk("c d") + kPong;
    ASSERT_EQ(client.receive(wanted.size()), wanted) << cut;
  }
}

TEST_P(RedisExample, AnswersEveryCommandOfAPipeline) {
  Program redis(kProgram, args());
  Client client = redis.connect();
  const int count = 10'000;
  std::string commands;
  std::string answers;
  for (int i = 0; i < count; ++i) {
    commands += command({"SET", "key", std::to_string(i)}) + command({"GET", "key"});
    answers += kOk + bulk(std::to_string(i));
  }
  std::thread sender([&] { twin(client).send_all(commands); });
  EXPECT_TRUE(client.receive(answers.size()) == answers);
  sender.join();
}

TEST_P(RedisExample, ValuesMayBeLarge) {
  Program redis(kProgram, args());
  const std::string value = pattern(5'000'000);
  Client client = redis.connect();
  client.send_all(command({"SET", "k", value}));
  EXPECT_EQ(client.receive(kOk.size()), kOk);
  client.send_all("GET k\r\nGET k\r\n");
  EXPECT_TRUE(client.receive(2 * bulk(value).size()) == bulk(value) + bulk(value));
}

TEST_P(RedisExample, QuitAndShutdownAreTheLastToBeAnswered) {
  Program redis(kProgram, args());
  EXPECT_EQ(answer(redis.connect(), "PING\r\nQUIT\r\nPING\r\n"), kPong + kOk);
  Client idle = redis.connect();
  idle.send_all("PING\r\n");
  EXPECT_EQ(idle.receive(kPong.size()), kPong);
  EXPECT_EQ(answer(redis.connect(), "PING\r\nSHUTDOWN\r\nPING\r\n"), kPong + kOk);
  EXPECT_EQ(idle.receive_all(), "");
  EXPECT_EQ(redis.wait(), 0);
}

TEST_P(RedisExample, WakeIsToldAndClosesTheConnection) {
  Program redis(kProgram, args());
  Client client = redis.connect();
  const std::string name = client.local_name();
  client.send_all("PING\r\nWAKE\r\n");
  EXPECT_EQ(client.receive_all(), kPong + kOk);
  EXPECT_TRUE(redis.wait_for("wake from " + name + "\n"));
}

TEST_P(RedisExample, RefusesWhatIsMalformedAfterAllAnswersBefore) {
  Program redis(kProgram, args());
  const std::vector<std::pair<std::string, std::string>> cases{
      {"*x\r\n", "invalid multibulk length"},
      {"*1000000000000\r\n", "invalid multibulk length"},
      {"*1\r\nx", "expected '$', got 'x'"},
      {"*1\r\n\r\n", "expected '$', got ' '"},
      {"*1\r\n$-1\r\n", "invalid bulk length"},
      {"*1\r\n$1000000000000\r\n", "invalid bulk length"},
      {"*1\r\n$1\r\nabc", "invalid bulk length"},
      {"ECHO \"a\r\n", "unbalanced quotes in request"},
      {std::string(70'000, 'a'), "too big inline request"},
      {"*" + std::string(70'000, '1'), "too big mbulk count string"},
      {"*1\r\n$" + std::string(70'000, '1'), "too big bulk count string"},
  };
  for (const auto& [malformed, why] : cases) {
    const std::string refusal = "-ERR Protocol error: " + why + "\r\n";
    Client client = redis.connect();  // the connection is closed though its client does not end it
    client.send_all(times(3, "PING\r\n") + malformed);
    EXPECT_EQ(client.receive_all(), times(3, kPong) + refusal);
  }
}

TEST_P(RedisExample, HangsUpOnBrowsers) {
  Program redis(kProgram, args());
  const std::string harm = "SET k v\r\n" + command({"SET", "k", "v"}) + "SHUTDOWN\r\n";
  const std::string wrong_get = "-ERR wrong number of arguments for 'GET' command\r\n";
  const std::vector<std::pair<std::string, std::string>> cases{
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n" + harm, ""},
      {"PING\r\npost\r\n" + harm, kPong},
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + harm, wrong_get},
      {"hOST:\n" + harm, ""},
      {"\"po\\x73t\" x\r\n" + harm, ""},
      {command({"POST"}) + harm, ""},
      {command({"Host:", "x", "y"}) + harm, ""},
  };
  for (const auto& [request, answered] : cases) {
    Client client = redis.connect();  // the connection is closed though its client does not end it
    client.send_all(request);
    EXPECT_EQ(client.receive_all(), answered) << request;
    EXPECT_TRUE(redis.wait_for("Possible SECURITY ATTACK detected")) << request;
    EXPECT_TRUE(redis.wait_for("Connection from " + client.local_name() + " aborted.\n")) << request;
  }
  EXPECT_EQ(answer(redis.connect(), "GET k\r\nPOSTS\r\nHost\r\n"),
            kNull + "-ERR unknown command 'POSTS'\r\n-ERR unknown command 'Host'\r\n");
}

// What arrives behind it in packets of its own is not obeyed either, nor is a command that comes byte by byte.
TEST_P(RedisExample, HangsUpForGood) {
  Program redis(kProgram, args());
  Client client = redis.connect();
  for (const char byte : std::string_view("POST / HTTP/1.1\r\nHost: x\r\n\r\nSET k v\r\n")) {
    client.send_all(std::string_view(&byte, 1));
  }
  EXPECT_EQ(client.receive_all(), "");
  client.send_all("SET k v\r\n");
  EXPECT_EQ(answer(redis.connect(), "GET k\r\n"), kNull);
}

TEST_P(RedisExample, WhatNeverEndsIsBounded) {
  Program redis(kProgram, args());
  const auto flood = [&](std::string_view begin, const std::string& more) {
    Client client = redis.connect();
    client.send_all(begin);
    for (std::size_t sent = 0; sent < 256 * 1024 * 1024 && client.send_all(more); sent += more.size()) {
    }
    return client.receive_all();
  };
  const std::size_t before = redis.memory();
  const auto refusal =
      [](const std::string& why) {  // who goes on sending to a closed connection may get a reset for it
        return testing::AnyOf("-ERR Protocol error: " + why + "\r\n", "");
      };
  EXPECT_THAT(flood("ECHO ", std::string(10'000, 'x')), refusal("too big inline request"));
  EXPECT_THAT(flood("*1048576\r\n", times(10, bulk(std::string(10'000, 'x')))), refusal("invalid bulk length"));
  EXPECT_LT(redis.memory(), before + (kSanitized ? 1024 : 160) * std::size_t{1024 * 1024});
  EXPECT_EQ(answer(redis.connect(), "PING\r\n"), kPong);
}

TEST_P(RedisExample, ClientsThatVanishDisturbNobody) {
  Program redis(kProgram, args());
  Client stays = redis.connect();
  for (int i = 0; i < 50; ++i) {
    Client vanishes = redis.connect();
    vanishes.send_all(i % 2 == 0 ? times(1000, "PING\r\nWAKE\r\n") : "*2\r\n$4\r\nECHO\r\n$100\r\nabc");
    if (i % 3 == 0) vanishes.reset();
  }
  stays.send_all("PING\r\n");
  EXPECT_EQ(stays.receive(kPong.size()), kPong);
}

// Answered at once, they would be 150 MB.
TEST_P(RedisExample, IsNoFurtherThanItsClientReads) {
  Program redis(kProgram, args());
  const std::string value = pattern(15'000);
  Client client = redis.connect();
  client.send_all(command({"SET", "k", value}) + "GET k\r\n");
  EXPECT_TRUE(client.receive(kOk.size() + bulk(value).size()) == kOk + bulk(value));
  const std::size_t before = redis.memory();
  constexpr int kCount = 10'000;
  client.send_all(times(kCount, "GET k\r\n"));
  client.shutdown_write();  // all are answered nevertheless
  ASSERT_TRUE(client.has_input());
  EXPECT_LT(redis.peak_memory(), before + (kSanitized ? 64 : 4) * std::size_t{1024 * 1024});
  for (int i = 0; i < kCount; ++i) ASSERT_TRUE(client.receive(bulk(value).size()) == bulk(value)) << i;
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_LT(redis.peak_memory(), before + (kSanitized ? 64 : 4) * std::size_t{1024 * 1024});
}

TEST_P(RedisExample, ClientsShareOneStore) {
  Program redis(kProgram, args());
  redis.port();  // known from here on, so that the threads only read it
  std::vector<std::thread> writers;
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&redis, w] {
      Client client = redis.connect();
      std::string commands;
      std::string answers;
      for (int i = 0; i < 500; ++i) {
        const std::string own = std::to_string(w) + ":" + std::to_string(i);
        commands += command({"SET", own, own}) + command({"SET", "shared", "x"}) + command({"GET", own});
        commands += command({"DEL", own, own + "?"});
        answers += kOk + kOk + bulk(own) + ":1\r\n";
      }
      client.send_all(commands);
      EXPECT_EQ(client.receive(answers.size()), answers);
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(answer(redis.connect(), "GET shared\r\nDEL shared\r\n"), bulk("x") + ":1\r\n");
}

TEST_P(RedisExample, ServesAUnixSocketUnlessToldNotTo) {
  Program redis(kProgram, {"--port=0", GetParam()});
  EXPECT_EQ(answer(redis.connect_unix("socket"), "SET k v\r\n"), kOk);
  EXPECT_EQ(answer(redis.connect(), "GET k\r\n"), bulk("v"));
  EXPECT_TRUE(redis.wait_for("redis server started at socket (loops: "));
  redis.signal(SIGINT);
  EXPECT_EQ(redis.wait(), 0);
  EXPECT_NE(::access(redis.path("socket").c_str(), F_OK), 0);
}

TEST_P(RedisExample, TakesAnyBalanceAndNoOther) {
  for (const char* balance : {"random", "round-robin", "least-connections"}) {
    Program redis(kProgram, args({"--balance", balance}));
    for (int i = 0; i < 8; ++i) EXPECT_EQ(answer(redis.connect(), "PING\r\n"), kPong);
  }
  Program redis(kProgram, args({"--balance=best"}));
  EXPECT_EQ(redis.wait(), 2);
  EXPECT_TRUE(redis.written().starts_with("invalid -balance flag: 'best'\n")) << redis.written();
}

}  // namespace
}  // namespace evio::test
