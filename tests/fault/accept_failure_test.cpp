// accept4 fails: what concerns one connection is passed over at once, what concerns the machine pauses the listener.
#include <sys/epoll.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/fault/inject.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class AcceptFailureTest : public ModeTest {
 protected:
  static Events echoing() {
    Events handlers = events();
    handlers.data = echo;
    return handlers;
  }
  static void expect_echo(Client& client, const std::string& text = "ping") {
    client.send_all(text);
    EXPECT_EQ(client.receive(text.size()), text);
  }
};

class PassingErrorTest : public AcceptFailureTest {};
EVIO_INSTANTIATE(PassingErrorTest, modes_of({1}));

// An attempt that the peer gave up, or that a network lost: the one behind it is accepted with the next call.
TEST_P(PassingErrorTest, TheNextConnectionIsAcceptedAtOnce) {
  for (const int error :
       {ECONNABORTED, EPROTO, ENETDOWN, ENETUNREACH, EHOSTUNREACH, EHOSTDOWN, ENONET, ENOPROTOOPT, EOPNOTSUPP, EINTR}) {
    SCOPED_TRACE(std::to_string(error));
    std::atomic<bool> failed{false};
    std::mutex mutex;
    std::vector<Call> after_it;
    Injection injection([&](Invocation& invocation) {
      const std::lock_guard lock(mutex);
      if (failed) after_it.push_back(invocation.call);
      return invocation.call == Call::kAccept4 && !failed.exchange(true) ? error : 0;
    });
    TestServer server(echoing(), address());
    Client client = server.connect();
    expect_echo(client);
    const std::lock_guard lock(mutex);
    ASSERT_FALSE(after_it.empty());
    EXPECT_EQ(name_of(after_it.front()), std::string("accept4"));
  }
}

class NumberingTest : public AcceptFailureTest {};
EVIO_INSTANTIATE(NumberingTest, modes_of({4}));

TEST_P(NumberingTest, RoundRobinSkipsFailedAccepts) {
  std::atomic<int> calls{0};
  Injection injection(
      [&](Invocation& invocation) { return invocation.call == Call::kAccept4 && calls++ % 3 == 0 ? ECONNABORTED : 0; });
  EventLog log;
  Events handlers = events();
  handlers.load_balance = LoadBalance::RoundRobin;
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    log.add(std::to_string(conn.loop_index()));
    return Action::None;
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (std::size_t i = 0; i < 12; ++i) {
    clients.push_back(server.connect());
    EXPECT_TRUE(log.wait_for(std::to_string(i % 4), i / 4 + 1)) << i;
  }
}

class ExhaustedTest : public AcceptFailureTest {
 protected:
  void expect_pause_and_resumption(int error) {
    SCOPED_TRACE(std::to_string(error));
    std::atomic<bool> exhausted{false};
    Injection injection(
        [&](Invocation& invocation) { return invocation.call == Call::kAccept4 && exhausted ? error : 0; });
    TestServer server(echoing(), address());
    Client connected = server.connect();
    expect_echo(connected);
    exhausted = true;
    std::vector<Client> waiting;
    for (int i = 0; i < 5; ++i) waiting.push_back(server.connect());
    const int tried = injection.count(Call::kAccept4);
    const int waited = injection.count(Call::kEpollWait) + injection.count(Call::kPoll);
    const Stopwatch stopwatch;
    for (int i = 0; i < 10; ++i) expect_echo(connected);
    EXPECT_TRUE(waiting.front().is_quiet());
    std::this_thread::sleep_for(kQuietTime);
    const int tries = injection.count(Call::kAccept4) - tried;
    const int waits = injection.count(Call::kEpollWait) + injection.count(Call::kPoll) - waited;
    // A loop that spins makes hundreds of these in a millisecond; the echoes are some of the waits.
    const int few = 50 + stopwatch.milliseconds() / 10;
    EXPECT_LT(tries, few * loops());
    EXPECT_LT(waits, few * loops() + 100);
    exhausted = false;  // nobody connects any more: the loops have to look for themselves
    for (Client& client : waiting) expect_echo(client);
    Client late = server.connect();
    expect_echo(late);
  }
};
EVIO_INSTANTIATE(ExhaustedTest, modes_of({1, 4}));

TEST_P(ExhaustedTest, ByDescriptorsOfTheProcess) { expect_pause_and_resumption(EMFILE); }
TEST_P(ExhaustedTest, ByMemory) { expect_pause_and_resumption(ENOMEM); }
TEST_P(ExhaustedTest, ByOtherThings) {
  if (mode().loops != 1 || !mode().is_tcp()) return;
  for (const int error : {ENFILE, ENOBUFS, EPERM, EIO}) expect_pause_and_resumption(error);
}

// A listener that cannot be watched again when its pause is over is tried again after the next one.
TEST_P(ExhaustedTest, ResumptionThatFailsIsTriedAgain) {
  if (mode().poller == PollerKind::kPortable) return;  // it registers by itself, without a system call
  std::atomic<bool> exhausted{true};
  std::atomic<bool> serving{false};
  std::atomic<int> refused{0};
  Injection injection([&](Invocation& invocation) {
    if (invocation.call == Call::kAccept4 && exhausted) return EMFILE;
    if (invocation.call != Call::kEpollCtl || invocation.operation != EPOLL_CTL_ADD || !serving) return 0;
    if (refused.fetch_add(1) >= 2) return 0;
    exhausted = false;
    return ENOSPC;
  });
  TestServer server(echoing(), address());
  serving = true;
  Client client = server.connect();
  expect_echo(client);
  EXPECT_GE(refused, 2);
}

class LimitedTest : public AcceptFailureTest {
 protected:
  // With the nth accept of a server that is full most of the time: everybody is served all the same, never three at
  // once.
  void expect_all_served(int n, int error) {
    SCOPED_TRACE("accept " + std::to_string(n) + ", error " + std::to_string(error));
    std::atomic<int> calls{0};
    Injection injection([&](Invocation& invocation) {
      return invocation.call == Call::kAccept4 && calls.fetch_add(1) == n ? error : 0;
    });
    std::atomic<int> open{0};
    Events handlers = echoing();
    handlers.max_connections = 2;
    handlers.opened = [&](Conn&, Output&, Options&) {
      EXPECT_LE(++open, 2);
      return Action::None;
    };
    handlers.closed = [&](Conn&, const Error&) {
      --open;
      return Action::None;
    };
    TestServer server(handlers, {address(), address()});
    std::vector<Client> clients;
    for (std::size_t i = 0; i < 10; ++i) clients.push_back(server.connect(i % 2));
    std::vector<std::thread> visitors;
    for (Client& client : clients) {
      visitors.emplace_back([&client] {
        expect_echo(client);
        client.close();
      });
    }
    for (std::thread& visitor : visitors) visitor.join();
    expect_full_again(server);
  }
  // No place was lost.
  static void expect_full_again(TestServer& server) {
    Client first = server.connect(0);
    Client second = server.connect(1);
    expect_echo(first);
    expect_echo(second);
  }
};
EVIO_INSTANTIATE(LimitedTest, modes_of({1, 4}));

TEST_P(LimitedTest, AnErrorOfOneConnectionCostsNoPlace) {
  for (int n = 0; n < 14; ++n) expect_all_served(n, ECONNABORTED);
}

TEST_P(LimitedTest, APauseCostsNoPlace) {
  for (int n = 0; n < 14; ++n) expect_all_served(n, n % 2 == 0 ? EMFILE : ENOMEM);
}

}  // namespace
}  // namespace evio::test
