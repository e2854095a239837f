// A signal may interrupt any call that waits or transfers: nothing is lost by it, and nothing fails.
#include <atomic>
#include <cerrno>
#include <string>
#include <vector>

#include "tests/fault/inject.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class InterruptedTest : public ModeTest {
 protected:
  // Every second call of these is interrupted before it has done anything.
  static bool may_be_interrupted(Call call) {
    switch (call) {
      case Call::kRead:
      case Call::kWrite:
      case Call::kSend:
      case Call::kSendmsg:
      case Call::kSendmmsg:
      case Call::kRecvmmsg:
      case Call::kAccept4:
      case Call::kConnect:
      case Call::kEpollWait:
      case Call::kPoll:
        return true;
      default:
        return false;
    }
  }

  int interrupt(Invocation& invocation) {
    if (!may_be_interrupted(invocation.call)) return 0;
    std::atomic<int>& turn = turns_[static_cast<std::size_t>(invocation.call)];
    if (turn.fetch_add(1, std::memory_order_relaxed) % 2 != 0) return 0;
    interrupted_[static_cast<std::size_t>(invocation.call)].fetch_add(1, std::memory_order_relaxed);
    return EINTR;
  }
  int interrupted(Call call) const { return interrupted_[static_cast<std::size_t>(call)].load(); }

 private:
  std::array<std::atomic<int>, kCalls> turns_{};
  std::array<std::atomic<int>, kCalls> interrupted_{};
};
EVIO_INSTANTIATE(InterruptedTest, modes_of({1, 4}));

TEST_P(InterruptedTest, EchoWakesSendsAndShutdownLoseNothing) {
  Injection injection([this](Invocation& invocation) { return interrupt(invocation); });
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  std::vector<Conn> conns;
  Counter opened;
  std::mutex mutex;
  handlers.opened = [&](Conn& conn, Output& out, Options&) {
    const std::lock_guard lock(mutex);
    conns.push_back(conn);
    opened.add();
    out.append("text").append(Bytes(std::string(20'000, 'x')));  // two pieces: sendmsg
    return Action::None;
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(opened.wait_for(clients.size()));
  for (Client& client : clients) EXPECT_EQ(client.receive(20'004).size(), 20'004u);
  for (int round = 0; round < 20; ++round) {
    for (Client& client : clients) {
      client.send_all("ping");
      EXPECT_EQ(client.receive(4), "ping");
    }
  }
  {
    const std::lock_guard lock(mutex);
    for (const Conn& conn : conns) {
      EXPECT_TRUE(conn.wake());
      EXPECT_TRUE(conn.send("sent"));
    }
  }
  EXPECT_TRUE(log.wait_for("wake", clients.size()));
  for (Client& client : clients) EXPECT_EQ(client.receive(4), "sent");
  server.shutdown();
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(log.count("closed"), clients.size());
  const bool portable = mode().poller == PollerKind::kPortable;
  for (const Call call :
       {Call::kRead, Call::kSend, Call::kSendmsg, Call::kAccept4, portable ? Call::kPoll : Call::kEpollWait}) {
    EXPECT_GT(interrupted(call), 0) << name_of(call);
  }
}

TEST_P(InterruptedTest, ShortAndBlockedCallsLoseNothing) {
  std::atomic<unsigned> turn{0};
  Injection injection([&](Invocation& invocation) {
    if (invocation.size == nullptr || !is_socket(invocation.fd)) return 0;
    const unsigned n = turn.fetch_add(1, std::memory_order_relaxed);
    if (invocation.call != Call::kRead && n % 3 == 0) return EAGAIN;
    if (n % 2 == 0) *invocation.size = 1;
    return 0;
  });
  TestServer server(
      [&] {
        Events handlers = events();
        handlers.data = echo;
        return handlers;
      }(),
      address());
  std::vector<Client> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(server.connect());
  const std::string text = pattern(50'000);
  for (int round = 0; round < 3; ++round) {
    for (Client& client : clients) client.send_all(text);
    for (Client& client : clients) EXPECT_TRUE(client.receive(text.size()) == text);
  }
}

}  // namespace
}  // namespace evio::test
