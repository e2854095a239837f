// The system calls of a server, as strace(1) sees them: in the steady state of an echo, when nothing happens, and in
// the whole life of a server on the portable poller; and how the listeners are watched.
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"
#include "tests/support/process.hpp"
#include "tests/support/strace.hpp"

namespace {

// What the loops ask for; the test's own thread, which polls too, is left out.
std::atomic<int> waits{0};
std::atomic<int> waits_with_timeout{0};
std::atomic<int> looks{0};  // those that do not wait
thread_local bool is_loop = true;

// The events that listening sockets were added with.
std::mutex mutex;
std::vector<std::uint32_t> listeners_added;

void note_wait(int timeout) {
  if (!is_loop) return;
  ++waits;
  if (timeout == 0) {
    ++looks;
  } else if (timeout != -1) {
    ++waits_with_timeout;
  }
}

}  // namespace

extern "C" {
int __real_epoll_wait(int epoll, epoll_event* events, int size, int timeout);
int __wrap_epoll_wait(int epoll, epoll_event* events, int size, int timeout) {
  note_wait(timeout);
  return __real_epoll_wait(epoll, events, size, timeout);
}
int __real_epoll_pwait2(int epoll, epoll_event* events, int size, const timespec* timeout, const sigset_t* mask);
int __wrap_epoll_pwait2(int epoll, epoll_event* events, int size, const timespec* timeout, const sigset_t* mask) {
  note_wait(1);  // only what has a timeout
  return __real_epoll_pwait2(epoll, events, size, timeout, mask);
}
int __real_poll(pollfd* fds, nfds_t size, int timeout);
int __wrap_poll(pollfd* fds, nfds_t size, int timeout) {
  note_wait(timeout);
  return __real_poll(fds, size, timeout);
}
int __real_epoll_ctl(int epoll, int op, int fd, epoll_event* event);
int __wrap_epoll_ctl(int epoll, int op, int fd, epoll_event* event) {
  int listening = 0;
  socklen_t size = sizeof(listening);
  if (op == EPOLL_CTL_ADD && ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening != 0) {
    const std::lock_guard lock(mutex);
    listeners_added.push_back(event->events);
  }
  return __real_epoll_ctl(epoll, op, fd, event);
}
}

namespace evio::test {
namespace {

using Calls = std::map<std::string, int>;

constexpr const char* kNotAllowed =
    "strace is not installed, or may not attach to the process that starts it (ptrace(2))";

// Takes the waits out of the calls. Attaching and detaching each interrupts the one a loop is in.
int take_waits(Calls& calls) {
  int sum = 0;
  for (const char* name : {"epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "restart_syscall"}) {
    const auto found = calls.find(name);
    if (found == calls.end()) continue;
    sum += found->second;
    calls.erase(found);
  }
  return sum;
}

class SyscallsTest : public ModeTest {
 protected:
  void SetUp() override {
    is_loop = false;
    ModeTest::SetUp();
    waits = waits_with_timeout = looks = 0;
  }
  Events echoing() {
    Events handlers = events();
    handlers.load_balance = LoadBalance::RoundRobin;  // every loop has its share
    handlers.data = echo;
    return handlers;
  }
  // Clients that were all served once, by loops that are through with it.
  std::vector<Client> clients_of(TestServer& server) {
    std::vector<Client> clients;
    for (int i = 0; i != 8; ++i) {
      clients.push_back(server.connect());
      expect_echo(clients.back());
    }
    EXPECT_TRUE(all_sleep());
    return clients;
  }
  static void expect_echo(Client& client) {
    client.send_all("ping");
    EXPECT_EQ(client.receive(4), "ping");
  }
  int most_interrupted() const { return 2 * loops(); }
};
EVIO_INSTANTIATE(SyscallsTest, modes_of({1, 4}));

TEST_P(SyscallsTest, OfAnEchoedMessageAreOneWaitOneReadAndOneWrite) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's own calls are in the way";
  constexpr int kMessages = 400;
  TestServer server(echoing(), address());
  std::vector<Client> clients = clients_of(server);
  Strace strace(baseline().new_threads());
  if (!strace.attached()) GTEST_SKIP() << kNotAllowed;
  for (std::size_t i = 0; i != kMessages; ++i) expect_echo(clients[i % clients.size()]);
  Calls calls = strace.stop();
  EXPECT_LE(take_waits(calls), kMessages + most_interrupted());
  EXPECT_EQ(calls, (Calls{{"read", kMessages}, {"sendto", kMessages}}));
}

TEST_P(SyscallsTest, OfAnIdleServerWithConnectionsAreNone) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's own calls are in the way";
  TestServer server(echoing(), address());
  const std::vector<Client> clients = clients_of(server);
  Strace strace(baseline().new_threads());
  if (!strace.attached()) GTEST_SKIP() << kNotAllowed;
  std::this_thread::sleep_for(kQuietTime);
  Calls calls = strace.stop();
  EXPECT_LE(take_waits(calls), most_interrupted());
  EXPECT_EQ(calls, Calls());
}

// However long one would have to watch: there is nothing a loop would wake up for by itself.
TEST_P(SyscallsTest, EveryWaitIsForEverWhenThereIsNoTick) {
  TestServer server(echoing(), address());
  std::vector<Client> clients = clients_of(server);
  for (int i = 0; i != 5; ++i) {
    for (Client& client : clients) expect_echo(client);
  }
  EXPECT_GE(waits, 8);
  EXPECT_EQ(waits_with_timeout, 0);
  // A loop that was at work when a connection was handed over to it looks before it waits.
  EXPECT_LE(looks, loops() == 1 ? 0 : static_cast<int>(clients.size()));
}

TEST_P(SyscallsTest, NoDescriptorOfThePortablePollerIsLinuxsAlone) {
  TestServer server(echoing(), address());
  const std::size_t linux_only = descriptors_of("anon_inode:").size();
  const std::size_t pipes = descriptors_of("pipe:").size();
  const bool portable = mode().poller == PollerKind::kPortable;
  const auto count = static_cast<std::size_t>(loops()) * 2;  // an epoll and an eventfd, or two ends of a pipe
  EXPECT_EQ(linux_only, portable ? 0 : count);
  EXPECT_GE(pipes, portable ? count : 0);
}

class WholeLifeTest : public ModeTest {};
EVIO_INSTANTIATE(WholeLifeTest, modes_of({1}));

// One loop, so that everything from the first call to the last is made by the thread that calls serve.
TEST_P(WholeLifeTest, UsesTheCallsOfItsPollerAlone) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's own calls are in the way";
  Gate traced;
  Counter started;
  std::atomic<pid_t> thread{0};
  Addr addr;
  Events handlers = events();
  handlers.serving = [&](const Server& server) {
    addr = server.addrs().at(0);
    started.add();
    return Action::None;
  };
  handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
    if (in.empty()) return Action::Shutdown;
    conn.wake();
    return echo(conn, in, out);
  };
  std::thread serving([&, where = address()] {
    thread = ::gettid();
    started.add();
    EXPECT_TRUE(traced.wait());
    EXPECT_FALSE(serve(handlers, where));
  });
  EXPECT_TRUE(started.wait_for(1));
  EXPECT_TRUE(all_sleep());
  Strace strace({thread});
  traced.open();
  EXPECT_TRUE(started.wait_for(2));
  Client client(addr);
  client.send_all("ping");
  EXPECT_EQ(client.receive_all(), "ping");
  serving.join();
  if (!strace.attached()) GTEST_SKIP() << kNotAllowed;
  const Calls calls = strace.stop();
  const auto made = [&](const std::string& beginning) {
    return std::ranges::any_of(calls, [&](const auto& call) { return call.first.starts_with(beginning); });
  };
  const bool portable = mode().poller == PollerKind::kPortable;
  EXPECT_TRUE(made("accept"));
  EXPECT_EQ(made("epoll"), !portable);
  EXPECT_EQ(made("eventfd"), !portable);
  EXPECT_EQ(made("pipe2"), portable);
  EXPECT_EQ(made("poll") || made("ppoll"), portable);
}

class ExclusiveListenerTest : public ServerTest {
 protected:
  // Of the listening sockets added: how many exclusively, how many not.
  static std::pair<int, int> added(int num_loops, const std::vector<std::string>& addrs) {
    {
      const std::lock_guard lock(mutex);
      listeners_added.clear();
    }
    const TestServer server({.num_loops = num_loops}, addrs);
    const std::lock_guard lock(mutex);
    const auto all = std::ssize(listeners_added);
    const auto exclusive =
        std::ranges::count_if(listeners_added, [](std::uint32_t events) { return (events & EPOLLEXCLUSIVE) != 0; });
    return {static_cast<int>(exclusive), static_cast<int>(all - exclusive)};
  }
};

TEST_F(ExclusiveListenerTest, Always) {
  const std::string unix_address = "unix://" + path("s");
  EXPECT_EQ(added(4, {"tcp://127.0.0.1:0", unix_address}), std::pair(8, 0));
  EXPECT_EQ(added(1, {"tcp://127.0.0.1:0", unix_address}), std::pair(2, 0));
  EXPECT_EQ(added(4, {"tcp://127.0.0.1:0?reuseport=true", unix_address}), std::pair(8, 0));
}

}  // namespace
}  // namespace evio::test
