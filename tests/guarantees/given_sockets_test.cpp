// Guarantee 24: sockets that the process was given, fd:// and systemd://.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "tests/support/datagram_client.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }
std::string fd_address(int fd) { return "fd://" + std::to_string(fd); }

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof(value);
  EXPECT_EQ(::getsockopt(fd, level, name, &value, &size), 0);
  return value;
}

int bound_to(int type, std::uint32_t ip) {
  const int fd = ::socket(AF_INET, type, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(ip);
  EXPECT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof(at)), 0);
  return fd;
}

int bound_to_path(int type, const std::string& file) {
  const int fd = ::socket(AF_UNIX, type, 0);
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  file.copy(at.sun_path, sizeof(at.sun_path) - 1);
  EXPECT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof(at)), 0);
  return fd;
}

int listening(int fd) {
  EXPECT_EQ(::listen(fd, 16), 0);
  return fd;
}

int listening_tcp() { return listening(bound_to(SOCK_STREAM, INADDR_LOOPBACK)); }

class GivenSocketsTest : public ModeTest {
 protected:
  // Blocking, and open in a program that is executed: as a parent passes it.
  int make_listener() {
    if (mode().is_tcp()) return listening_tcp();
    files_.push_back(path("given" + std::to_string(files_.size())));
    return listening(bound_to_path(SOCK_STREAM, files_.back()));
  }
  // These schemes have no -net: another address makes the call use poll(2).
  std::vector<std::string> addresses(std::vector<std::string> given) {
    if (mode().poller == PollerKind::kPortable) given.push_back(address());
    return given;
  }
  Events echoing() {
    Events handlers = events();
    handlers.data = echo;
    return handlers;
  }
  static void expect_echo(Client client) {
    ASSERT_TRUE(client.send_all("hello"));
    EXPECT_EQ(client.receive(5), "hello");
  }
  void TearDown() override {
    for (const std::string& file : files_) EXPECT_TRUE(std::filesystem::remove(file)) << "serve has removed " << file;
    ModeTest::TearDown();
  }

 private:
  std::vector<std::string> files_;
};
EVIO_INSTANTIATE(GivenSocketsTest, all_modes());

TEST_P(GivenSocketsTest, AreServedAndClosed) {
  const int fd = make_listener();
  {
    TestServer server(echoing(), addresses({fd_address(fd)}));
    ASSERT_TRUE(server.started());
    EXPECT_EQ(server.addr().network(), mode().is_tcp() ? "tcp" : "unix");
    EXPECT_EQ(::fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    EXPECT_EQ(::fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    for (int i = 0; i != 5; ++i) expect_echo(server.connect());
  }
  EXPECT_FALSE(is_open(fd));
}

TEST_P(GivenSocketsTest, MayAskForAProxyHeader) {
  Events handlers = events();
  handlers.opened = [](Conn& conn, Output& out, Options&) {
    out = conn.remote_addr().to_string() + "\n";
    return Action::None;
  };
  TestServer server(handlers, addresses({fd_address(make_listener()) + "?proxy=v1"}));
  ASSERT_TRUE(server.started());
  Client client = server.connect();
  ASSERT_TRUE(client.send_all("PROXY TCP4 192.0.2.1 192.0.2.9 1000 443\r\n"));
  EXPECT_EQ(client.receive(15), "192.0.2.1:1000\n");
}

TEST_P(GivenSocketsTest, AddrIndexIsTheIndexInAddrs) {
  const int first = make_listener();
  const int second = make_listener();
  Events handlers = events();
  handlers.opened = [](Conn& conn, Output& out, Options&) {
    out = std::to_string(conn.addr_index());
    return Action::None;
  };
  TestServer server(handlers, {address(), fd_address(second), fd_address(first)});
  ASSERT_EQ(server.handle().addrs().size(), 3u);
  for (std::size_t i = 0; i != 3; ++i) EXPECT_EQ(server.connect(i).receive(1), std::to_string(i));
}

// The parent, or systemd, has it as well, and others may go on to listen.
TEST_P(GivenSocketsTest, ListenOnElsewhereWhenTheServerEnds) {
  const int fd = make_listener();
  const UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  Addr addr;
  for (const bool drains : {false, true}) {
    const int given = drains ? ::dup(copy.get()) : fd;
    TestServer server(echoing(), addresses({fd_address(given)}));
    addr = server.addr();
    expect_echo(server.connect());
    drains ? server.handle().drain(kPatience) : server.shutdown();
    EXPECT_FALSE(server.wait());
    EXPECT_FALSE(is_open(given));
    EXPECT_EQ(option(copy.get(), SOL_SOCKET, SO_ACCEPTCONN), 1);
  }
  Client waiting(addr);
  ASSERT_TRUE(waiting.connected());
  TestServer next(echoing(), addresses({fd_address(::dup(copy.get()))}));
  expect_echo(std::move(waiting));
}

TEST_P(GivenSocketsTest, AConnectionIsAsOneOfASocketThatIsMadeHere) {
  if (!mode().is_tcp()) return;
  Events handlers = echoing();
  handlers.opened = [](Conn& conn, Output& out, Options&) {
    const bool as_made = option(conn.native_handle(), IPPROTO_TCP, TCP_NODELAY) != 0 &&
                         option(conn.native_handle(), SOL_SOCKET, SO_OOBINLINE) != 0;
    out = as_made ? "yes" : "no";
    return Action::None;
  };
  TestServer server(handlers, addresses({fd_address(make_listener())}));
  EXPECT_EQ(server.connect().receive(3), "yes");
}

TEST_P(GivenSocketsTest, ADatagramSocketToo) {
  const int fd = bound_to(SOCK_DGRAM, INADDR_ANY);
  Events handlers = events();
  handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
    out = in.str() + " to " + conn.local_addr().to_string();
    return Action::None;
  };
  {
    TestServer server(handlers, addresses({fd_address(fd)}));
    ASSERT_TRUE(server.started());
    EXPECT_EQ(server.addr().network(), "udp");
    const int port = server.addr().port();
    for (const std::string ip : {"127.0.0.1", "127.0.0.2"}) {
      DatagramClient client(ip, port);
      client.send("x");
      const Packet answer = client.receive();
      EXPECT_EQ(answer.text, "x to " + ip + ":" + std::to_string(port));
      EXPECT_EQ(answer.from, ip + ":" + std::to_string(port));
    }
  }
  EXPECT_FALSE(is_open(fd));
}

TEST_P(GivenSocketsTest, WhatCannotBeServedIsAnErrorThatSaysWhyAndIsClosed) {
  int pipe_ends[2];
  ASSERT_EQ(::pipe2(pipe_ends, O_CLOEXEC), 0);
  const UniqueFd other_end(pipe_ends[1]);
  const int closed = ::fcntl(pipe_ends[0], F_DUPFD_CLOEXEC, 500);  // a number that nobody gets meanwhile
  ::close(closed);
  const std::string file = path("d");
  const std::pair<int, std::string> table[] = {
      {closed, " is not open"},
      {pipe_ends[0], " is not a socket"},
      {bound_to(SOCK_STREAM, INADDR_LOOPBACK), " is a stream socket that does not listen"},
      {::socket(AF_INET, SOCK_DGRAM, 0), " is a datagram socket that is not bound"},
      {bound_to_path(SOCK_DGRAM, file), " is a datagram socket of unix, which is not served"},
      {::socket(AF_UNIX, SOCK_SEQPACKET, 0), " is neither a stream nor a datagram socket"},
      {::socket(AF_NETLINK, SOCK_DGRAM, 0), " is a socket of another family than IPv4, IPv6 and unix"},
  };
  for (const auto& [fd, why] : table) {
    TestServer server(events(), addresses({fd_address(fd)}));
    EXPECT_FALSE(server.started());
    EXPECT_EQ(server.wait().message(),
              "listen " + fd_address(fd) + ": descriptor " + std::to_string(fd) + std::string(why));
    EXPECT_EQ(server.wait().code(), std::errc::invalid_argument);
    EXPECT_FALSE(is_open(fd)) << why;
  }
  std::filesystem::remove(file);
}

TEST_P(GivenSocketsTest, AllAreClosedWhateverFails) {
  const auto expect_failure = [&](const std::string& before, const std::string& options, const std::string& after) {
    const int first = make_listener();
    const int second = make_listener();
    std::vector<std::string> all{fd_address(first) + options, fd_address(second)};
    if (!before.empty()) all.insert(all.begin(), before);
    if (!after.empty()) all.push_back(after);
    TestServer server(events(), all);
    EXPECT_FALSE(server.started());
    EXPECT_TRUE(server.wait());
    EXPECT_FALSE(is_open(first));
    EXPECT_FALSE(is_open(second));
  };
  const UniqueFd taken(listening_tcp());
  sockaddr_in at{};
  socklen_t size = sizeof(at);
  ASSERT_EQ(::getsockname(taken.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
  const std::string in_use = "tcp://127.0.0.1:" + std::to_string(ntohs(at.sin_port));
  expect_failure("", "", "nonsense://");
  expect_failure("nonsense://", "", "");
  expect_failure("", "", in_use);
  expect_failure(in_use, "", "");
  for (const char* option : {"?reuseport=1", "?backlog=1", "?mode=0600", "?x=1"}) expect_failure("", option, "");
  expect_failure("", "", "fd://" + std::to_string(taken.get()) + "x");
  EXPECT_TRUE(is_open(taken.get()));
}

TEST_P(GivenSocketsTest, OneThatIsGivenTwiceIsAnError) {
  const int fd = make_listener();
  TestServer server(events(), {fd_address(fd), fd_address(fd)});
  EXPECT_EQ(server.wait().message(),
            "listen " + fd_address(fd) + ": descriptor " + std::to_string(fd) + " is given twice");
  EXPECT_FALSE(is_open(fd));
}

// Variables inherited from another process say nothing about this one's descriptors.
TEST_P(GivenSocketsTest, ThoseOfAnotherProcessAreLeftAlone) {
  const UniqueFd fd(make_listener());
  ::setenv("LISTEN_PID", std::to_string(::getppid()).c_str(), 1);
  ::setenv("LISTEN_FDS", "100", 1);
  {
    TestServer server(events(), std::string("systemd://"));
    EXPECT_NE(server.wait().message().find("the sockets were given to another process"), std::string::npos)
        << server.wait().message();
  }
  ::unsetenv("LISTEN_PID");
  ::unsetenv("LISTEN_FDS");
  EXPECT_TRUE(is_open(fd.get()));
}

/// Serves what a process of its own was given, as a service manager gives it. Thread-safety: one thread.
class GivenToAProcessTest : public GivenSocketsTest {
 protected:
  // The child's whole life: it ends with 0 if all is well.
  [[noreturn]] void serve_passed(const std::string& given, const std::string& expected) {
    std::vector<int> sockets;
    for (int i = 0; i != 3; ++i) sockets.push_back(::fcntl(make_listener(), F_DUPFD, 100));
    for (int i = 0; i != 3; ++i) ::dup2(sockets[static_cast<std::size_t>(i)], 3 + i);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", "3", 1);
    ::setenv("LISTEN_FDNAMES", "web:admin:web", 1);
    Events handlers = events();
    handlers.opened = [](Conn& conn, Output& out, Options&) {
      out = std::to_string(conn.addr_index());
      return Action::Close;
    };
    std::string got;
    {
      TestServer server(handlers, {address(), given});
      for (std::size_t i = 0; i != server.handle().addrs().size(); ++i) got += server.connect(i).receive_all();
      if (!server.started()) got = server.wait().message();
    }
    for (int fd = 3; fd != 6; ++fd) got += is_open(fd) ? " open" : " closed";
    std::cerr << got << std::endl;
    std::_Exit(got == expected && !HasFailure() ? 0 : 1);
  }
  [[noreturn]] void serve_standard_input() {
    ::dup2(make_listener(), STDIN_FILENO);
    bool served = false;
    {
      TestServer server(echoing(), addresses({"fd://0"}));
      if (server.started()) {
        Client client = server.connect();
        served = client.send_all("hello") && client.receive(5) == "hello";
      }
    }
    std::_Exit(served && !is_open(STDIN_FILENO) ? 0 : 1);
  }
};
EVIO_INSTANTIATE(GivenToAProcessTest, modes_of(Network::kTcp, {1, 4}));

TEST_P(GivenToAProcessTest, AllOrThoseOfANameBecomeEntries) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(serve_passed("systemd://", "0123 closed closed closed"), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(serve_passed("systemd://web", "012 closed open closed"), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(
      serve_passed("systemd://x",
                   "listen systemd://x: no socket is named \"x\": LISTEN_FDNAMES is \"web:admin:web\" open open "
                   "open"),
      testing::ExitedWithCode(0), "");
}

// As inetd passes it. No descriptor that the library makes is 0, 1 or 2, but this one it was given.
TEST_P(GivenToAProcessTest, StandardInputIsServedToo) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(serve_standard_input(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace evio::test
