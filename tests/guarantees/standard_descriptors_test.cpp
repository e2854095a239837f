// A process may be started without a standard stream (`2>&-`): what it writes there must not reach a client or a
// listener, so no descriptor of the library is 0, 1 or 2.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/example_program.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"
#include "tests/support/process.hpp"

namespace evio::test {
namespace {

using Numbers = std::set<int>;

Numbers standard_descriptors() {
  Numbers found;
  for (const auto& [fd, target] : open_descriptors()) {
    if (fd <= STDERR_FILENO) found.insert(fd);
  }
  return found;
}

// Connects a socket that was made before: a new one would have one of these numbers itself.
Client connect(UniqueFd fd, const Addr& addr) {
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (addr.network() == "unix") {
    auto& to = reinterpret_cast<sockaddr_un&>(storage);
    to.sun_family = AF_UNIX;
    addr.path().copy(to.sun_path, sizeof(to.sun_path) - 1);
    size = sizeof(to);
  } else {
    auto& to = reinterpret_cast<sockaddr_in&>(storage);
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(addr.port()));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    size = sizeof(to);
  }
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size), 0) << addr.to_string();
  return Client(std::move(fd));
}

class StandardDescriptorsTest : public ModeTest {
 protected:
  // A whole life of a server without these; in a process of its own, which it ends with 0 when all was well.
  [[noreturn]] void serve_without(const Numbers& closed) {
    const UniqueFd messages(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100));
    std::vector<UniqueFd> sockets;
    for (int i = 0; i < 8; ++i)
      sockets.emplace_back(::socket(mode().is_tcp() ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    UniqueFd datagrams(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    Numbers left = standard_descriptors();
    for (const int fd : closed) {
      ::close(fd);
      left.erase(fd);
    }
    std::string wrong;
    const auto look = [&](const std::string& when) {
      if (standard_descriptors() == left) return;
      for (const auto& [fd, target] : open_descriptors()) {
        if (fd <= STDERR_FILENO && !left.contains(fd))
          wrong += when + ": " + std::to_string(fd) + " is " + target + '\n';
      }
    };
    {
      Events handlers = events();
      handlers.data = echo;
      const std::string udp = mode().poller == PollerKind::kPortable ? "udp-net" : "udp";
      TestServer server(handlers, {address(), udp + "://127.0.0.1:0", address()});
      if (!server.started()) wrong += server.wait().message() + '\n';
      look("serving");
      std::vector<Client> clients;
      for (std::size_t i = 0; i < sockets.size(); ++i) {
        clients.push_back(connect(std::move(sockets[i]), server.addr(i % 2 * 2)));
        if (!clients.back().send_all("hello") || clients.back().receive(5) != "hello") wrong += "no answer\n";
      }
      look("with connections");
      Client peer = connect(std::move(datagrams), server.addr(1));
      if (!peer.send_all("hello") || peer.receive(5) != "hello") wrong += "no datagram\n";
      for (const auto& [fd, target] : baseline().new_descriptors()) {
        if ((::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0) wrong += target + " goes to child processes\n";
      }
    }
    look("at the end");
    std::filesystem::remove_all(path(""));
    [[maybe_unused]] const auto written = ::write(messages.get(), wrong.data(), wrong.size());
    ::_exit(wrong.empty() ? 0 : 1);
  }
};
EVIO_INSTANTIATE(StandardDescriptorsTest, modes_of({1, 4}));

TEST_P(StandardDescriptorsTest, ClosedAtTheStartAreLeftAlone) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const Numbers& closed : {Numbers{0}, Numbers{1}, Numbers{2}, Numbers{0, 2}, Numbers{0, 1, 2}}) {
    EXPECT_EXIT(serve_without(closed), testing::ExitedWithCode(0), "");
  }
}

class StandardDescriptorsExampleTest : public testing::Test {
 protected:
  static Program echo_with(const std::string& redirection) {
    return Program("/bin/sh", {"-c", "exec \"$0\" --port=0 --loops=2 " + redirection, EVIO_EXAMPLES_DIR "/echo"});
  }
  static void expect_echo(Client client) {
    client.send_all("hello");
    EXPECT_EQ(client.receive(5), "hello");
  }
  // The port of the process's listening socket: the local address, behind the first colon but one of a line whose state
  // is LISTEN and whose inode is that of a descriptor (proc(5)).
  static int listening_port(pid_t pid) {
    std::set<std::string> inodes;
    std::error_code ignored;
    for (const auto& fd : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", ignored)) {
      const std::string target = std::filesystem::read_symlink(fd.path(), ignored).string();
      if (target.starts_with("socket:[")) inodes.insert(target.substr(8, target.size() - 9));
    }
    for (const char* table : {"/proc/net/tcp6", "/proc/net/tcp"}) {
      for (const std::string& line : lines_of(table)) {
        std::istringstream fields(line);
        std::string slot, local, remote, state, inode;
        fields >> slot >> local >> remote >> state;
        for (int i = 0; i < 6; ++i) fields >> inode;
        if (state == "0A" && inodes.contains(inode)) return std::stoi(local.substr(local.find(':') + 1), nullptr, 16);
      }
    }
    return 0;
  }

 private:
  Watchdog watchdog_{"an echo test", kWatchdogLimit};
};

TEST_F(StandardDescriptorsExampleTest, EchoServesWithoutStandardInput) { expect_echo(echo_with("<&-").connect()); }

TEST_F(StandardDescriptorsExampleTest, EchoServesWithoutStandardOutput) { expect_echo(echo_with(">&-").connect()); }

TEST_F(StandardDescriptorsExampleTest, EchoServesWithoutAPlaceForItsLog) {
  for (const char* redirection : {"2>&-", "--trace 2>&-", "--trace <&- >&- 2>&-"}) {
    Program echo = echo_with(redirection);
    int port = 0;
    ASSERT_TRUE(eventually([&] { return (port = listening_port(echo.pid())) != 0; })) << redirection;
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
    expect_echo(Client(std::move(fd)));
  }
}

}  // namespace
}  // namespace evio::test
