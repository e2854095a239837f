// Guarantee 17: what the sockets of a server are like.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"
#include "tests/support/process.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof(value);
  return ::getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

class SocketsTest : public ModeTest {
 protected:
  // The server's ends of connections: every new socket but the listeners and the test's own clients.
  std::vector<int> accepted(const std::vector<Client>& clients) const {
    std::set<int> own;
    for (const Client& client : clients) own.insert(client.fd());
    std::vector<int> found;
    for (const auto& [fd, target] : baseline().new_descriptors()) {
      if (target.starts_with("socket:") && !own.contains(fd) && option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 0) {
        found.push_back(fd);
      }
    }
    return found;
  }
};
EVIO_INSTANTIATE(SocketsTest, all_modes());

TEST_P(SocketsTest, AreNonBlockingCloseOnExecAndWithoutDelay) {
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  TestServer server(handlers, {address(), address()});
  std::vector<Client> clients;
  for (std::size_t i = 0; i < 4; ++i) clients.push_back(server.connect(i % 2));
  ASSERT_TRUE(log.wait_for("opened", 4));
  const std::vector<int> fds = accepted(clients);
  ASSERT_EQ(fds.size(), 4u);
  for (const int fd : fds) {
    EXPECT_NE(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    if (mode().is_tcp()) {
      EXPECT_EQ(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    }
    EXPECT_EQ(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
  }
  // Of all that the server opened, listeners and the poller's own included, nothing goes to a child process.
  for (const auto& [fd, target] : baseline().new_descriptors()) {
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << fd << ": " << target;
  }
}

TEST_P(SocketsTest, KeepAliveIsSetInWholeSecondsRoundedUp) {
  const std::vector<std::pair<std::chrono::nanoseconds, int>> cases{
      {100ms, 1}, {1ns, 1}, {1s, 1}, {1001ms, 2}, {5min, 300}, {std::chrono::hours(24 * 365), 32767}};
  for (const auto& [period, seconds] : cases) {
    EventLog log;
    Events handlers = events();
    note_all(handlers, log);
    handlers.opened = [&, keep = period](Conn& conn, Output& out, Options& opts) {
      EXPECT_EQ(opts.tcp_keep_alive, 0ns);
      EXPECT_FALSE(opts.reuse_input_buffer);
      opts.tcp_keep_alive = keep;
      out = "applied before this leaves";
      log.add(conn, "opened");
      return Action::None;
    };
    TestServer server(handlers, address());
    std::vector<Client> clients;
    clients.push_back(server.connect());
    EXPECT_EQ(clients.front().receive(26), "applied before this leaves");
    const std::vector<int> fds = accepted(clients);
    ASSERT_EQ(fds.size(), 1u);
    if (!mode().is_tcp()) continue;
    EXPECT_EQ(option(fds.front(), SOL_SOCKET, SO_KEEPALIVE), 1);
    EXPECT_EQ(option(fds.front(), IPPROTO_TCP, TCP_KEEPIDLE), seconds);
    EXPECT_EQ(option(fds.front(), IPPROTO_TCP, TCP_KEEPINTVL), seconds);
  }
}

std::atomic<int> sigpipes{0};

TEST_P(SocketsTest, NoSigpipeIsRaised) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) { sigpipes.fetch_add(1, std::memory_order_relaxed); };  // relaxed: a mere count
  ::sigaction(SIGPIPE, &action, &before);
  sigpipes = 0;
  for (int round = 0; round < 10; ++round) {
    Gate called;
    Gate gone;
    int writes = 0;
    EventLog log;
    Events handlers = events();
    note_all(handlers, log);
    handlers.data = [&](Conn& conn, const Bytes&, Output& out) {
      called.open();
      EXPECT_TRUE(gone.wait());
      out = "no one reads this";
      if (++writes < 5) conn.wake();  // the first write of all may still succeed
      return Action::None;
    };
    TestServer server(handlers, address());
    Client client = server.connect();
    client.send_all("x");
    ASSERT_TRUE(called.wait());
    round % 2 == 0 ? client.close() : client.reset();
    gone.open();
    ASSERT_TRUE(eventually([&] { return log.all().size() == 2; }));
  }
  EXPECT_EQ(sigpipes.load(), 0);
  ::sigaction(SIGPIPE, &before, nullptr);
}

// The signal mask of a callback is that of its thread's creator: a program started there dies of SIGPIPE as any other.
TEST_P(SocketsTest, AProgramStartedInACallbackDiesOfSigpipe) {
  std::atomic<int> status{-1};
  Gate ended;
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes&, Output&) {
    const char* const arguments[] = {"sh", "-c", "kill -PIPE $$", nullptr};
    pid_t child = 0;
    int result = -1;
    if (::posix_spawn(&child, "/bin/sh", nullptr, nullptr, const_cast<char* const*>(arguments), environ) == 0)
      ::waitpid(child, &result, 0);
    status = result;
    ended.open();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("x");
  ASSERT_TRUE(ended.wait());
  EXPECT_TRUE(WIFSIGNALED(status.load()) && WTERMSIG(status.load()) == SIGPIPE) << status;
}

// A detached socket is its owner's, who asked for no SIGPIPE either.
TEST_P(SocketsTest, NoSigpipeIsRaisedByADetachedSocketEither) {
  Gate gone;
  Gate done;
  std::thread owner;
  Events handlers = events();
  handlers.data = [](Conn&, const Bytes&, Output&) { return Action::Detach; };
  handlers.detached = [&](Conn&, DetachedConn rwc) {
    owner = std::thread([&, socket = std::move(rwc)]() mutable {
      EXPECT_TRUE(gone.wait());
      Error err;
      for (int i = 0; i < 100 && !err; ++i) socket.write("no one reads this", err);
      EXPECT_TRUE(err);
    });
    done.open();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("x");
  ASSERT_TRUE(done.wait());
  client.reset();
  gone.open();
  owner.join();
}

TEST_P(SocketsTest, TheCallersSignalMaskIsAsBefore) {
  Events handlers = events();
  Gate called;
  std::thread peer;
  sigset_t before;
  sigset_t after;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
  handlers.serving = [&](const Server& server) {
    peer = std::thread([addr = server.addrs().front()] {
      Client client(addr);
      client.send_all("x");
      client.reset();
    });
    return Action::None;
  };
  handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
    conn.send(in);
    return echo(conn, in, out);
  };
  handlers.closed = [](Conn&, const Error&) { return Action::Shutdown; };
  EXPECT_FALSE(serve(handlers, address()));
  peer.join();
  ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int signal = 1; signal < NSIG; ++signal) {
    EXPECT_EQ(::sigismember(&before, signal), ::sigismember(&after, signal)) << signal;
  }
  sigset_t pending;
  ::sigpending(&pending);
  EXPECT_FALSE(::sigismember(&pending, SIGPIPE));
}

}  // namespace
}  // namespace evio::test
