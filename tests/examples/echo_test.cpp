#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/example_program.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::test {
namespace {

class EchoExample : public testing::Test {
 protected:
  Program run(const std::vector<std::string>& args) { return Program(EVIO_EXAMPLES_DIR "/echo", args); }

  // Runs it to its end, which it must come to by itself.
  int status_of(const std::vector<std::string>& args) {
    Program program = run(args);
    const int status = program.wait();
    written_ = program.written();
    return status;
  }

  std::string written_;

 private:
  Watchdog watchdog_{"an echo test", kWatchdogLimit};
};

TEST_F(EchoExample, SendsBackWhatItReceives) {
  for (const std::vector<std::string>& flags : std::vector<std::vector<std::string>>{
           {}, {"--loops=4"}, {"--loops=4", "--reuseport"}, {"--stdlib", "-loops", "2"}}) {
    std::vector<std::string> args{"--port=0"};
    args.insert(args.end(), flags.begin(), flags.end());
    Program echo = run(args);
    Client client = echo.connect();
    const std::string text = pattern(1'000'000);
    std::thread sender([&] { EXPECT_TRUE(twin(client).send_all(text)); });
    EXPECT_EQ(client.receive(text.size()), text);
    sender.join();
    client.shutdown_write();
    EXPECT_EQ(client.receive_all(), "");
  }
}

TEST_F(EchoExample, SaysWhatItDoes) {
  Program echo = run({"--port=0", "--loops=4", "--reuseport", "--stdlib"});
  const std::string port = std::to_string(echo.port());
  EXPECT_TRUE(echo.wait_for("stdlib\n"));
  EXPECT_EQ(echo.written(), "echo server started on port " + port + " (loops: 4)\nreuseport\nstdlib\n");
}

TEST_F(EchoExample, TracesWhatItReceives) {
  Program echo = run({"-port", "0", "-trace"});
  Client client = echo.connect();
  client.send_all("\r\n hello you \t\r\n");
  EXPECT_TRUE(echo.wait_for("(loops: 1)\nhello you\n"));
  client.send_all(" \n");
  EXPECT_TRUE(echo.wait_for("hello you\n\n"));
}

TEST_F(EchoExample, EchoesDatagrams) {
  Program echo = run({"--port=0", "--udp", "--loops=2", "--reuseport"});
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(echo.port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  for (const std::string text : {"one", "two", "three"}) {
    ASSERT_EQ(::send(fd.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    char buffer[100];
    const auto got = ::recv(fd.get(), buffer, sizeof(buffer), 0);
    EXPECT_EQ(std::string(buffer, got > 0 ? static_cast<std::size_t>(got) : 0), text);
  }
}

TEST_F(EchoExample, TellsItsFigures) {
  Program echo = run({"--port=0", "--loops=2", "--stats"});
  for (int i = 0; i < 3; ++i) {
    Client client = echo.connect();
    client.send_all(pattern(1000));
    EXPECT_EQ(client.receive(1000), pattern(1000));
    client.shutdown_write();
    EXPECT_EQ(client.receive_all(), "");
  }
  Client stays = echo.connect();
  stays.send_all("hello");
  EXPECT_EQ(stays.receive(5), "hello");
  EXPECT_TRUE(echo.wait_for("\nconnections 1, accepted 4, closed 3, aborted 0, bytes in 3005, out 3005, pending 0,"));
  echo.signal(SIGTERM);
  EXPECT_EQ(echo.wait(), 0);
  EXPECT_NE(
      echo.written().find("\nconnections 0, accepted 4, closed 4, aborted 0, bytes in 3005, out 3005, pending 0,"),
      std::string::npos)
      << echo.written();
}

TEST_F(EchoExample, ASignalShutsItDown) {
  for (const int number : {SIGINT, SIGTERM}) {
    Program echo = run({"--port=0", "--loops=4"});
    Client client = echo.connect();
    client.send_all("hello");
    EXPECT_EQ(client.receive(5), "hello");
    echo.signal(number);
    echo.signal(number);
    EXPECT_EQ(client.receive_all(), "");
    EXPECT_EQ(echo.wait(), 0);
  }
}

TEST_F(EchoExample, AFailureIsToldAndExitsWithOne) {
  Program echo = run({"--port=0"});
  const std::string port = std::to_string(echo.port());
  EXPECT_EQ(status_of({"--port", port}), 1);
  EXPECT_NE(written_.find(port), std::string::npos) << written_;
  EXPECT_EQ(status_of({"--port=-1"}), 1);
  EXPECT_EQ(status_of({"--port=65536"}), 1);
}

TEST_F(EchoExample, AMistakeInTheFlagsIsNamedAndExitsWithTwo) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> mistakes{
      {{"--nope"}, "flag provided but not defined: -nope\n"},
      {{"-x=1"}, "flag provided but not defined: -x\n"},
      {{"--port=0", "-loops"}, "flag needs an argument: -loops\n"},
      {{"--port", "5000x"}, "invalid value \"5000x\" for flag -port: parse error\n"},
      {{"--port="}, "invalid value \"\" for flag -port: parse error\n"},
      {{"--loops=99999999999"}, "invalid value \"99999999999\" for flag -loops: parse error\n"},
      {{"--udp=maybe"}, "invalid boolean value \"maybe\" for -udp: parse error\n"},
      {{"---port=1"}, "bad flag syntax: ---port=1\n"},
      {{"-=1"}, "bad flag syntax: -=1\n"},
  };
  for (const auto& [args, told] : mistakes) {
    EXPECT_EQ(status_of(args), 2) << args[0];
    EXPECT_TRUE(written_.starts_with(told)) << written_;
    EXPECT_NE(written_.find("Usage:"), std::string::npos) << written_;
  }
}

TEST_F(EchoExample, HelpListsTheFlags) {
  for (const char* help : {"--help", "-help", "-h"}) {
    EXPECT_EQ(status_of({help}), 0);
    for (const char* flag : {"port", "loops", "udp", "reuseport", "trace", "stdlib", "5000"}) {
      EXPECT_NE(written_.find(flag), std::string::npos) << flag << " in " << written_;
    }
  }
}

TEST_F(EchoExample, BooleanFlagsAreGosOwn) {
  const auto traces = [&](const std::vector<std::string>& flags) {
    std::vector<std::string> args{"--port=0"};
    args.insert(args.end(), flags.begin(), flags.end());
    Program echo = run(args);
    Client client = echo.connect();
    client.send_all("traced");
    EXPECT_EQ(client.receive(6), "traced");
    echo.signal(SIGTERM);
    EXPECT_EQ(echo.wait(), 0);
    return echo.written().find("traced") != std::string::npos;
  };
  for (const char* yes : {"--trace", "-trace=true", "--trace=TRUE", "--trace=T", "--trace=1"})
    EXPECT_TRUE(traces({yes}));
  for (const char* no : {"--trace=false", "-trace=F", "--trace=FALSE", "--trace=0"}) EXPECT_FALSE(traces({no}));
  EXPECT_FALSE(traces({"--trace", "--trace=false"})) << "the last one counts";
  EXPECT_TRUE(traces({"--trace", "false"})) << "a boolean flag takes no argument of its own";
  EXPECT_FALSE(traces({"--", "--trace"}));
  EXPECT_FALSE(traces({"x", "--trace"}));
}

}  // namespace
}  // namespace evio::test
