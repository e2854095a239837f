// What an example does when nobody takes what it writes: it goes on serving, and a --help that is lost is a failure.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/example_program.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::test {
namespace {

const std::string kFull = ">/dev/full";
const std::string kClosed = ">&-";
const std::string kNobody = ">fifo";  // a pipe without a reader

class ExampleStreams : public testing::TestWithParam<std::string> {
 protected:
  // An example with a stream redirected as the shell takes it.
  static Program run(const std::string& flags, const std::string& redirection) {
    const std::string make_fifo = redirection.ends_with("fifo") ? "mkfifo fifo && exec 3<>fifo && " : "";
    const std::string program = "exec " EVIO_EXAMPLES_DIR "/" + GetParam() + " " + flags;
    // A redirection takes place when the fifo still has a reader, which is the shell, and 3 is closed after it.
    return Program("/bin/sh", {"-c", make_fifo + program + " " + redirection + " 3>&-"});
  }

 private:
  Watchdog watchdog_{"a test of an example's streams", kWatchdogLimit};
};

std::string name_of(const testing::TestParamInfo<std::string>& instance) { return instance.param; }

INSTANTIATE_TEST_SUITE_P(, ExampleStreams, testing::Values("chat", "echo", "http", "redis", "workers"), name_of);

TEST_P(ExampleStreams, HelpThatIsLostIsAFailure) {
  for (const auto& [stdout_is, why] : std::vector<std::pair<std::string, std::string>>{
           {kFull, "No space left on device"}, {kClosed, "Bad file descriptor"}, {kNobody, "Broken pipe"}}) {
    Program program = run("--help", stdout_is);
    EXPECT_EQ(program.wait(), 1) << stdout_is;
    EXPECT_EQ(program.written(), "cannot print the help: " + why + "\n");
  }
}

TEST_P(ExampleStreams, AMistakeNobodyIsToldOfIsOneAllTheSame) {
  for (const std::string& stderr_is : {kFull, kClosed, kNobody}) {
    EXPECT_EQ(run("--mistake", "2" + stderr_is).wait(), 2) << stderr_is;
  }
}

// Without echo, whose port is known by its log alone.
class UnixExampleStreams : public ExampleStreams {};
INSTANTIATE_TEST_SUITE_P(, UnixExampleStreams, testing::Values("http", "redis"), name_of);

TEST_P(UnixExampleStreams, ALogThatIsLostEndsNothing) {
  for (const std::string& stderr_is : {kFull, kClosed, kNobody}) {
    SCOPED_TRACE(stderr_is);
    Program program = run("--port=0 --unixsocket=s", "2" + stderr_is);
    Client client = program.connect_unix_unannounced("s");
    client.send_all("\r\n");  // Once it is closed, the handlers of the signals are there.
    client.shutdown_write();
    EXPECT_EQ(client.receive_all(), "");
    program.signal(SIGTERM);
    EXPECT_EQ(program.wait(), 0);
    EXPECT_NE(::access(program.path("s").c_str(), F_OK), 0) << "the socket's file is left";
  }
}

// Without http, which logs nothing once it serves.
class LoggingExampleStreams : public ExampleStreams {};
INSTANTIATE_TEST_SUITE_P(, LoggingExampleStreams, testing::Values("echo", "redis"), name_of);

TEST_P(LoggingExampleStreams, AReaderOfTheLogMayLeave) {
  const bool is_echo = GetParam() == "echo";
  Program program(EVIO_EXAMPLES_DIR "/" + GetParam(), {"--port=0", is_echo ? "--trace" : "--unixsocket="});
  Client client = program.connect();
  program.stop_reading();
  client.send_all("WAKE\r\n");  // is logged
  EXPECT_EQ(client.receive(5), is_echo ? "WAKE\r" : "+OK\r\n");
  if (is_echo) client.shutdown_write();
  client.receive_all();
  EXPECT_TRUE(client.at_end());
  program.signal(SIGTERM);
  EXPECT_EQ(program.wait(), 0);
}

}  // namespace
}  // namespace evio::test
