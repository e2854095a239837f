// What other event servers get wrong about paths, options and the numbers of descriptors.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/fault/inject.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"
#include "tests/support/process.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

class PathRegressionTest : public ModeTest {
 protected:
  // serve refuses the path with an error that names it, calls nothing and leaves it as it is.
  void expect_refused(const std::string& where) {
    struct stat before {};
    ASSERT_EQ(::lstat(where.c_str(), &before), 0);
    Events handlers = events();
    handlers.serving = [](const Server&) {
      ADD_FAILURE() << "serving was called";
      return Action::Shutdown;
    };
    const Error err = serve(std::move(handlers), mode().scheme() + "://" + where);
    EXPECT_TRUE(err);
    EXPECT_NE(err.message().find(where), std::string::npos) << err.message();
    struct stat after {};
    ASSERT_EQ(::lstat(where.c_str(), &after), 0);
    EXPECT_EQ(before.st_ino, after.st_ino);
    EXPECT_EQ(before.st_mode, after.st_mode);
    EXPECT_EQ(before.st_size, after.st_size);
  }
};
EVIO_INSTANTIATE(PathRegressionTest, modes_of(Network::kUnix));

TEST_P(PathRegressionTest, ADirectoryIsRefusedAndUntouched) {
  const std::string folder = path("folder");
  std::filesystem::create_directory(folder);
  std::ofstream(folder + "/file") << "text";
  expect_refused(folder);
  EXPECT_EQ(entries_of(folder), std::set<std::string>{"file"});
  std::filesystem::remove_all(folder);
}

TEST_P(PathRegressionTest, AnEmptyDirectoryIsRefusedAndUntouched) {
  const std::string folder = path("folder");
  std::filesystem::create_directory(folder);
  expect_refused(folder);
  std::filesystem::remove_all(folder);
}

TEST_P(PathRegressionTest, ARegularFileIsRefusedAndUntouched) {
  const std::string file = path("file");
  std::ofstream(file) << "precious";
  expect_refused(file);
  EXPECT_EQ(lines_of(file), std::vector<std::string>{"precious"});
  std::filesystem::remove(file);
}

TEST_P(PathRegressionTest, ALinkToAFileIsRefusedAndBothAreUntouched) {
  const std::string file = path("file");
  const std::string link = path("link");
  std::ofstream(file) << "precious";
  std::filesystem::create_symlink(file, link);
  expect_refused(link);
  EXPECT_EQ(lines_of(file), std::vector<std::string>{"precious"});
  std::filesystem::remove(link);
  std::filesystem::remove(file);
}

TEST_P(PathRegressionTest, AFifoIsRefusedAndUntouched) {
  const std::string fifo = path("fifo");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  expect_refused(fifo);
  std::filesystem::remove(fifo);
}

class KeepAliveRegressionTest : public ModeTest {
 protected:
  // The server's end of the client's connection.
  static int other_end(const Client& client) {
    sockaddr_in own{};
    socklen_t size = sizeof(own);
    ::getsockname(client.fd(), reinterpret_cast<sockaddr*>(&own), &size);
    for (const int fd : descriptors_of("socket:")) {
      sockaddr_in peer{};
      size = sizeof(peer);
      if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 && peer.sin_family == AF_INET &&
          peer.sin_port == own.sin_port && fd != client.fd()) {
        return fd;
      }
    }
    return -1;
  }
  static int option(int fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof(value);
    ::getsockopt(fd, level, name, &value, &size);
    return value;
  }

  // What the connection has after `opened` asked for this: {SO_KEEPALIVE, TCP_KEEPIDLE}.
  std::pair<int, int> keep_alive_of(std::chrono::nanoseconds period) {
    Events handlers = events();
    handlers.opened = [&](Conn&, Output&, Options& opts) {
      opts.tcp_keep_alive = period;
      return Action::None;
    };
    handlers.data = echo;
    TestServer server(handlers, address());
    Client client = server.connect();
    client.send_all("x");
    EXPECT_EQ(client.receive(1), "x");
    const int fd = other_end(client);
    EXPECT_GE(fd, 0);
    return {option(fd, SOL_SOCKET, SO_KEEPALIVE), option(fd, IPPROTO_TCP, TCP_KEEPIDLE)};
  }
};
EVIO_INSTANTIATE(KeepAliveRegressionTest, modes_of(Network::kTcp));

TEST_P(KeepAliveRegressionTest, PeriodsAreRoundedUpToWholeSeconds) {
  EXPECT_EQ(keep_alive_of(100ms), std::pair(1, 1));
  EXPECT_EQ(keep_alive_of(1ns), std::pair(1, 1));
  EXPECT_EQ(keep_alive_of(1s), std::pair(1, 1));
  EXPECT_EQ(keep_alive_of(1001ms), std::pair(1, 2));
  EXPECT_EQ(keep_alive_of(90s), std::pair(1, 90));
}

TEST_P(KeepAliveRegressionTest, WithoutAPeriodItIsOff) {
  EXPECT_EQ(keep_alive_of(0ns).first, 0);
  EXPECT_EQ(keep_alive_of(-5s).first, 0);
}

class DescriptorZeroRegressionTest : public ModeTest {
 protected:
  /// Standard input, closed for a while.
  class WithoutStdin {
   public:
    WithoutStdin() : saved_(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)) { ::close(STDIN_FILENO); }
    ~WithoutStdin() {
      if (saved_.valid()) ::dup2(saved_.get(), STDIN_FILENO);
    }
    WithoutStdin(const WithoutStdin&) = delete;
    WithoutStdin& operator=(const WithoutStdin&) = delete;

   private:
    UniqueFd saved_;
  };

  static Events echoing() {
    Events handlers = events();
    handlers.data = echo;
    return handlers;
  }
  static void expect_echo(Client& client) {
    client.send_all("ping");
    EXPECT_EQ(client.receive(4), "ping");
  }
  // A client that does not take the number itself when it connects.
  static UniqueFd make_socket() {
    return UniqueFd(::socket(mode().is_tcp() ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  }
  static Client connect_to_peer_of(const Client& other, UniqueFd socket) {
    sockaddr_storage to{};
    socklen_t size = sizeof(to);
    ::getpeername(other.fd(), reinterpret_cast<sockaddr*>(&to), &size);
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), size), 0);
    return Client(std::move(socket));
  }
  static bool is_zero_taken() { return open_descriptors().contains(0); }
};
EVIO_INSTANTIATE(DescriptorZeroRegressionTest, all_modes());

TEST_P(DescriptorZeroRegressionTest, NoConnectionHasIt) {
  TestServer server(echoing(), address());
  Client first = server.connect();
  expect_echo(first);
  UniqueFd socket = make_socket();
  const WithoutStdin closed;
  Client client = connect_to_peer_of(first, std::move(socket));
  expect_echo(client);
  EXPECT_FALSE(is_zero_taken());
}

// It is an error of the call that made the descriptor, and leaves nothing.
TEST_P(DescriptorZeroRegressionTest, WhatCannotBeMovedFromThereIsNotThere) {
  const WithoutStdin closed;
  const Baseline without_it;
  int n = 0;
  for (bool served = false; !served && n < 1'000; ++n) {
    Error err;
    {
      const Injection injection([n, moves = std::make_shared<std::atomic<int>>(0)](Invocation& invocation) {
        const bool is_move = invocation.call == Call::kFcntl && invocation.operation == F_DUPFD_CLOEXEC;
        return is_move && moves->fetch_add(1) == n ? EMFILE : 0;
      });
      Events handlers = events();
      handlers.serving = [&](const Server&) {
        served = true;
        return Action::Shutdown;
      };
      std::thread([&] { err = serve(std::move(handlers), address()); }).join();
    }
    EXPECT_NE(served, err.code() == std::errc::too_many_files_open) << err.message();
    EXPECT_EQ(without_it.difference(), "");
  }
  EXPECT_GT(n, 1 + loops());  // each loop makes descriptors, and the listener one
}

/// With one loop: accept4(2) sets a number aside before it looks whether a connection is there, so that of several
/// loops one that comes too late can make another's connection have a higher number.
class DescriptorZeroOfOneLoopRegressionTest : public DescriptorZeroRegressionTest {};
EVIO_INSTANTIATE(DescriptorZeroOfOneLoopRegressionTest, modes_of({1}));

TEST_P(DescriptorZeroOfOneLoopRegressionTest, ClosesWhatItCannotMove) {
  TestServer server(echoing(), address());
  Client first = server.connect();
  expect_echo(first);
  UniqueFd sockets[] = {make_socket(), make_socket()};
  const WithoutStdin closed;
  std::atomic<int> moves{0};
  const Injection injection([&](Invocation& invocation) {
    const bool is_move = invocation.call == Call::kFcntl && invocation.operation == F_DUPFD_CLOEXEC;
    return is_move && moves.fetch_add(1) == 0 ? EMFILE : 0;
  });
  Client lost = connect_to_peer_of(first, std::move(sockets[0]));
  EXPECT_EQ(lost.receive_all(), "");
  EXPECT_FALSE(is_zero_taken());
  Client next = connect_to_peer_of(first, std::move(sockets[1]));
  expect_echo(next);
  expect_echo(first);
  EXPECT_EQ(moves, 2);
  EXPECT_FALSE(is_zero_taken());
}

/// A program that another thread starts gets what is open just then and not close-on-exec yet.
class CloseOnExecRegressionTest : public DescriptorZeroRegressionTest {};
EVIO_INSTANTIATE(CloseOnExecRegressionTest, all_modes());

TEST_P(CloseOnExecRegressionTest, IsEveryDescriptorFromItsFirstMoment) {
  std::mutex mutex;
  std::set<std::string> inherited;
  const auto look = [&](const Invocation& invocation) {
    for (const auto& [fd, target] : baseline().new_descriptors()) {
      const int flags = ::fcntl(fd, F_GETFD);
      if (flags < 0 || (flags & FD_CLOEXEC) != 0) continue;  // below 0: it is closed again
      const std::lock_guard lock(mutex);
      inherited.insert(target + " at " + name_of(invocation.call));
    }
  };
  const Injection injection(
      [&](Invocation& invocation) {
        look(invocation);
        return 0;
      },
      [&](const Invocation& invocation, long) { look(invocation); });
  // So that some are moved, too. Until `serving` one thread makes all calls: a look of another would use number 0
  // itself.
  auto closed = std::make_unique<WithoutStdin>();
  Events handlers = echoing();
  handlers.serving = [&](const Server&) {
    closed.reset();
    return Action::None;
  };
  TestServer server(handlers, std::vector<std::string>{address(), mode().is_tcp() ? "udp://127.0.0.1:0" : address()});
  Client client = server.connect();
  expect_echo(client);
  EXPECT_GT(injection.count(Call::kAccept4), 0);
  EXPECT_GT(injection.count(Call::kFcntl), 0);
  EXPECT_EQ(inherited, std::set<std::string>());
}

}  // namespace
}  // namespace evio::test
