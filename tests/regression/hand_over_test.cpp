// A loop that was woken for a connection alone must hand it over before it calls a handler that may take its time.
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "tests/fault/inject.hpp"
#include "tests/support/fixture.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

class HandOverRegressionTest : public ModeTest {
 protected:
  /// What happens between a loop's being woken for a connection and its looking at why: one of its own is woken, and
  /// the handler of that blocks.
  struct Round {
    std::atomic<bool> armed{true};
    std::atomic<int> blocked_loop{-1};
    Gate go_on;
  };

  static Conn& of_this_loop() {
    static thread_local Conn conn;
    return conn;
  }

  Events handlers() {
    Events handlers = events();
    handlers.load_balance = LoadBalance::RoundRobin;
    handlers.opened = [this](Conn& conn, Output&, Options&) {
      of_this_loop() = conn;
      opened_.add();
      return Action::None;
    };
    handlers.closed = [](Conn&, const Error&) {
      of_this_loop() = Conn();
      return Action::None;
    };
    handlers.data = [this](Conn& conn, const Bytes&, Output&) {
      Round& round = *round_.load();
      round.blocked_loop = conn.loop_index();
      EXPECT_TRUE(round.go_on.wait());
      return Action::None;
    };
    return handlers;
  }

  static bool waits(Call call) { return call == Call::kEpollWait || call == Call::kPoll; }

  Counter opened_;
  std::deque<Round> rounds_;  // a loop may look at the last one still
  std::atomic<Round*> round_{nullptr};
};
EVIO_INSTANTIATE(HandOverRegressionTest, modes_of({4}));

TEST_P(HandOverRegressionTest, ComesBeforeTheNotes) {
  Injection injection(nullptr, [this](const Invocation& invocation, long ready) {
    Round* const round = round_.load();
    if (ready > 0 && waits(invocation.call) && round != nullptr && round->armed.exchange(false)) of_this_loop().wake();
  });
  TestServer server(handlers(), address());
  std::vector<Client> clients;
  const auto n = static_cast<std::size_t>(loops());
  for (std::size_t i = 0; i < n; ++i) {
    clients.push_back(server.connect());
    ASSERT_TRUE(opened_.wait_for(i + 1));
  }
  // In one round of four the connection is the blocked loop's own and has to wait: in the others it must not.
  int tested = 0;
  for (std::size_t i = n; i < 3 * n; ++i) {
    // A loop that is still at work with the last connection would accept this one without having been woken for it.
    ASSERT_TRUE(all_sleep(0ms));
    Round& round = rounds_.emplace_back();
    const OpensAtEnd opens(round.go_on);
    round_ = &round;
    clients.push_back(server.connect());
    const auto target = static_cast<int>(i % n);
    ASSERT_TRUE(eventually([&] { return round.blocked_loop >= 0; }));
    if (round.blocked_loop != target) {
      ++tested;
      EXPECT_TRUE(opened_.wait_for(i + 1, kPatience / 3)) << "loop " << round.blocked_loop << " keeps it waiting";
    }
    round.go_on.open();
    ASSERT_TRUE(opened_.wait_for(i + 1));
    if (HasFailure()) break;
  }
  // poll(2) wakes every loop: which of them the note stops first is chance, and may always be the new one's own.
  if (mode().poller == PollerKind::kEpoll) {
    EXPECT_GT(tested, 0);
  }
}

class AcceptFirstRegressionTest : public ModeTest {
 protected:
  // Waits until a connection is there to be accepted: connect(2) may return a little before.
  bool wait_for_backlog() const {
    return eventually([&] {
      for (const auto& [fd, target] : baseline().new_descriptors()) {
        int listening = 0;
        socklen_t size = sizeof(listening);
        pollfd poll{fd, POLLIN, 0};
        if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening != 0)
          return ::poll(&poll, 1, 0) == 1;
      }
      return false;
    });
  }
};
EVIO_INSTANTIATE(AcceptFirstRegressionTest, modes_of({1}));

// Both are ready at once, the input first.
TEST_P(AcceptFirstRegressionTest, AcceptsBeforeItReads) {
  EventLog log;
  Gate blocked;
  Gate go_on;
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    log.add(conn, "opened");
    return Action::None;
  };
  handlers.data = [&](Conn& conn, const Bytes& in, Output&) {
    if (in == "block") {
      blocked.open();
      EXPECT_TRUE(go_on.wait());
    }
    log.add(conn, in.str());
    return Action::None;
  };
  TestServer server(handlers, address());
  Client blocker = server.connect();
  Client other = server.connect();
  ASSERT_TRUE(log.wait_for("opened", 2));
  blocker.send_all("block");
  ASSERT_TRUE(blocked.wait());
  const OpensAtEnd opens(go_on);
  other.send_all("input");
  other.wait_for_arrival();
  Client late = server.connect();
  ASSERT_TRUE(wait_for_backlog());
  go_on.open();
  ASSERT_TRUE(log.wait_for("input"));
  EXPECT_EQ(log.all(), (EventLog::List{"opened", "opened", "block", "opened", "input"}));
}

}  // namespace
}  // namespace evio::test
