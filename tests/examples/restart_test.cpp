#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "internal/net/addr_access.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/restarted_program.hpp"

namespace evio::test {
namespace {

class RestartExample : public ServerTest {
 protected:
  static void expect_echo(Client& client) {
    ASSERT_TRUE(client.send_all("hello"));
    EXPECT_EQ(client.receive(5), "hello");
  }
};

TEST_F(RestartExample, TheNextOneServesAndTheOldOneEndsWithItsLastConnection) {
  RestartedProgram restarted({"--loops=2", "tcp://127.0.0.1:0?reuseport=true", "unix://s"});
  Client tcp = restarted.program().connect();
  Client local = restarted.program().connect_unix("s");
  expect_echo(tcp);
  restarted.restart();
  EXPECT_EQ(restarted.count(), 2u);
  expect_echo(tcp);
  expect_echo(local);
  Client next = restarted.program().connect();
  expect_echo(next);
  tcp.close();
  expect_echo(local);
  local.close();
  expect_echo(next);
  next.close();  // the old one may have accepted it, for it drains a moment later
  EXPECT_TRUE(restarted.has_ended(0));
  Client last = restarted.program().connect_unix("s");
  expect_echo(last);
  restarted.restart();
  last.close();
  EXPECT_TRUE(restarted.has_ended(1));
}

TEST_F(RestartExample, ConnectionsThatDoNotEndAreEndedAfterAWhile) {
  RestartedProgram restarted({"--drain=1", "tcp://127.0.0.1:0"});
  Client client = restarted.program().connect();
  expect_echo(client);
  restarted.restart();
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_TRUE(restarted.has_ended(0));
}

// Here because it is another file that stands in the program's place, as a broken release would.
TEST_F(RestartExample, GoesOnWhenTheNextOneDoesNotServe) {
  const std::string copy = path("restart");
  std::filesystem::copy_file(EVIO_EXAMPLES_DIR "/restart", copy);
  {
    Program program(copy, {"tcp://127.0.0.1:0"});
    Client client = program.connect();
    expect_echo(client);
    std::filesystem::rename(copy, copy + ".old");
    std::filesystem::copy_file("/bin/false", copy);
    for (std::size_t i = 1; i != 3; ++i) {
      program.signal(SIGHUP);
      ASSERT_TRUE(program.writes("the new process does not serve: this one goes on", i));
      expect_echo(client);
      Client next = program.connect();
      expect_echo(next);
    }
  }
  std::filesystem::remove(copy);
  std::filesystem::remove(copy + ".old");
}

// sd_listen_fds(3) as systemd speaks it.
TEST_F(RestartExample, ServesWhatSystemdListensOn) {
  const std::string activate = "/usr/bin/systemd-socket-activate";
  if (!std::filesystem::exists(activate)) GTEST_SKIP() << "there is no " << activate;
  const std::string file = path("s");
  {
    Program program(activate, {"-l", file, "--fdname=echo", EVIO_EXAMPLES_DIR "/restart", "systemd://echo"});
    ASSERT_TRUE(program.wait_for("Listening on"));
    Client client(internal::AddrAccess::path(file));
    expect_echo(client);
  }
  EXPECT_TRUE(std::filesystem::remove(file)) << "the socket is systemd's";
}

}  // namespace
}  // namespace evio::test
