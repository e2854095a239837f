// What one connection, thread or listener may do in a turn of a loop, as internal/README.md lists it: counted in system
// calls and callbacks between two waits.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/fault/inject.hpp"
#include "tests/support/datagram_client.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

bool is_wait(Call call) { return call == Call::kEpollWait || call == Call::kPoll; }

/// Counts something in each turn of the one loop there is. Thread-safety: any thread; the loop's adds.
class Turns {
 public:
  void wait_begins() {
    const std::lock_guard lock(mutex_);
    most_ = std::max(most_, now_);
    total_ += now_;
    now_ = 0;
  }
  void add(std::size_t n) {
    const std::lock_guard lock(mutex_);
    now_ += n;
  }
  std::size_t most() const {
    const std::lock_guard lock(mutex_);
    return most_;
  }
  std::size_t total() const {
    const std::lock_guard lock(mutex_);
    return total_;
  }

 private:
  mutable std::mutex mutex_;
  std::size_t now_ = 0;
  std::size_t most_ = 0;
  std::size_t total_ = 0;
};

class TurnBoundsTest : public ModeTest {
 protected:
  // Counts what `count` says of a call that has returned this. `change` may make a call a smaller one.
  void watch(std::function<std::size_t(const Invocation&, long)> count,
             std::function<void(Invocation&)> change = nullptr) {
    injection_ = std::make_unique<Injection>(
        [this, change](Invocation& invocation) {
          if (is_wait(invocation.call)) turns_.wait_begins();
          if (change) change(invocation);
          return 0;
        },
        [this, count](const Invocation& invocation, long result) {
          if (count && result >= 0) turns_.add(count(invocation, result));
        });
  }
  void serve(Events handlers) { server_ = std::make_unique<TestServer>(std::move(handlers), address()); }
  // Handlers with a connection that keeps the loop in `data` until go_.
  Events blocking(std::function<Action(Conn&, const Bytes&, Output&)> data) {
    Events handlers = events();
    handlers.data = [this, data = std::move(data)](Conn& conn, const Bytes& in, Output& out) {
      if (in == "block") {
        blocked_.open();
        EXPECT_TRUE(go_.wait());
        return Action::None;
      }
      return data ? data(conn, in, out) : Action::None;
    };
    return handlers;
  }
  Client block() {
    Client client = server_->connect();
    EXPECT_TRUE(client.send_all("block"));
    EXPECT_TRUE(blocked_.wait());
    return client;
  }
  void TearDown() override {
    server_.reset();
    injection_.reset();
    ModeTest::TearDown();
  }

  Turns turns_;
  Gate blocked_;
  Gate go_;
  std::unique_ptr<Injection> injection_;
  std::unique_ptr<TestServer> server_;
};

TEST_P(TurnBoundsTest, AConnectionIsReadOnce) {
  constexpr std::size_t kMuch = 4'000'000;
  watch([](const Invocation& i, long n) { return i.call == Call::kRead && is_socket(i.fd) && n > 0 ? 1u : 0u; });
  Counter received;
  serve(blocking([&](Conn&, const Bytes& in, Output&) {
    received.add(in.size());
    return Action::None;
  }));
  Client client = server_->connect();
  ASSERT_TRUE(client.send_all(pattern(kMuch)));
  ASSERT_TRUE(received.wait_for(kMuch));
  EXPECT_EQ(turns_.most(), 1u);
}

// In the first round nobody knows yet that they move much. In both, all have their input when the loop looks.
TEST_P(TurnBoundsTest, AQuarterOfAMegabyteIsMovedForThoseThatMoveMuchOnceAllOthersAreServed) {
  constexpr std::size_t kMuch = 48'000;
  constexpr std::size_t kBulk = 16;
  const auto second = std::make_shared<std::atomic<bool>>(false);
  watch([second](const Invocation& i, long n) {
    return *second && i.call == Call::kRead && is_socket(i.fd) && n == static_cast<long>(kMuch) ? 1u : 0u;
  });
  Counter blocked;
  Counter go;
  Counter heard;
  std::vector<std::size_t> order;
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes& in, Output&) {
    if (in == "block") {
      EXPECT_TRUE(go.wait_for(blocked.add()));
      return Action::None;
    }
    order.push_back(in.size());
    heard.add(in.size());
    return Action::None;
  };
  serve(handlers);
  Client blocker = server_->connect();
  Client small = server_->connect();
  std::vector<Client> bulk;
  while (bulk.size() != kBulk) bulk.push_back(server_->connect());
  const auto let_go_when_all_have_sent = [&](std::size_t round) {
    ASSERT_TRUE(blocker.send_all("block"));
    ASSERT_TRUE(blocked.wait_for(round));
    *second = round == 2;
    for (Client& client : bulk) {
      ASSERT_TRUE(client.send_all(pattern(kMuch)));
      client.wait_for_arrival();
    }
    ASSERT_TRUE(small.send_all("small"));
    small.wait_for_arrival();
    go.add();
    ASSERT_TRUE(heard.wait_for(round * (kBulk * kMuch + 5)));
  };
  let_go_when_all_have_sent(1);
  order.clear();
  let_go_when_all_have_sent(2);
  EXPECT_EQ(order.front(), 5u);
  EXPECT_EQ(turns_.most(), 6u);
}

TEST_P(TurnBoundsTest, AListenerGivesSixtyFourConnections) {
  watch([](const Invocation& i, long) { return i.call == Call::kAccept4 ? 1u : 0u; });
  Counter opened;
  Events handlers = blocking(nullptr);
  handlers.opened = [&](Conn&, Output&, Options&) {
    opened.add();
    return Action::None;
  };
  serve(handlers);
  const Client blocker = block();
  std::vector<Client> clients;
  for (int i = 0; i != 100; ++i) clients.push_back(server_->connect());
  go_.open();
  ASSERT_TRUE(opened.wait_for(101));
  EXPECT_EQ(turns_.most(), 64u);
}

TEST_P(TurnBoundsTest, TwoHundredAndFiftySixNotesAreTaken) {
  constexpr std::size_t kConnections = 300;
  Counter woken;
  std::vector<Conn> conns;
  Events handlers = blocking([&](Conn&, const Bytes& in, Output&) {
    if (in.empty()) turns_.add(1);
    if (in.empty()) woken.add();
    return Action::None;
  });
  Counter opened;
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    conns.push_back(conn);
    opened.add();
    return Action::None;
  };
  watch(nullptr);
  serve(handlers);
  std::vector<Client> clients;
  for (std::size_t i = 0; i != kConnections; ++i) clients.push_back(server_->connect());
  ASSERT_TRUE(opened.wait_for(kConnections));
  const Client blocker = block();
  for (std::size_t i = 0; i != kConnections; ++i) EXPECT_TRUE(conns[i].wake());
  go_.open();
  ASSERT_TRUE(woken.wait_for(kConnections));
  EXPECT_EQ(turns_.most(), 256u);
}

// By its note, before its input and before its timer.
TEST_P(TurnBoundsTest, SixtyFourFunctionsOfAConnectionAreCalled) {
  constexpr std::size_t kMany = 300;
  Counter called;
  Conn conn;
  Counter opened;
  Events handlers = blocking(nullptr);
  handlers.opened = [&](Conn& c, Output&, Options&) {
    conn = c;
    opened.add();
    return Action::None;
  };
  watch(nullptr);
  serve(handlers);
  Client client = server_->connect();
  ASSERT_TRUE(opened.wait_for(1));
  ASSERT_TRUE(client.send_all("block"));
  ASSERT_TRUE(blocked_.wait());
  for (std::size_t i = 0; i != kMany; ++i) {
    EXPECT_TRUE(conn.post([&](Conn&, Output&) {
      turns_.add(1);
      called.add();
      return Action::None;
    }));
    if (i % 100 == 0) conn.post_after(std::chrono::nanoseconds(0), [](Conn&, Output&) { return Action::None; });
  }
  ASSERT_TRUE(client.send_all("input"));
  client.wait_for_arrival();
  go_.open();
  ASSERT_TRUE(called.wait_for(kMany));
  EXPECT_EQ(turns_.most(), 64u);
}

// To a peer that reads as fast as the server writes.
TEST_P(TurnBoundsTest, AMegabyteOfPendingOutputIsWritten) {
  static const std::string kMuch = pattern(32'000'000);
  watch([](const Invocation& i, long n) {
    return (i.call == Call::kSend || i.call == Call::kSendmsg) && is_socket(i.fd) ? static_cast<std::size_t>(n) : 0u;
  });
  Gate first;
  serve(blocking([&](Conn&, const Bytes&, Output& out) {
    for (std::size_t at = 0; at != kMuch.size(); at += 20'000) out.append(Bytes::literal(kMuch).substr(at, 20'000));
    return Action::None;
  }));
  Client client = server_->connect();
  ASSERT_TRUE(client.send_all("much"));
  EXPECT_TRUE(client.receive(kMuch.size()) == kMuch);
  constexpr std::size_t kOneWrite = 64 * 20'000;
  EXPECT_LE(turns_.most(), 1024 * 1024 + kOneWrite);
}

// The reads are made short: a socket does not hold what 64 long ones take.
TEST_P(TurnBoundsTest, SixtyFourReadsAreDiscarded) {
  constexpr std::size_t kShort = 100;
  constexpr std::size_t kReads = 200;
  // From then on: the read that brings "close" may be in the same turn. The server outlives this function.
  const auto discards = std::make_shared<std::atomic<bool>>(false);
  const auto is_discarding = [discards](const Invocation& i) {
    return *discards && i.call == Call::kRead && is_socket(i.fd);
  };
  watch([is_discarding](const Invocation& i, long n) { return is_discarding(i) && n > 0 ? 1u : 0u; },
        [is_discarding](Invocation& i) {
          if (is_discarding(i)) *i.size = kShort;
        });
  Events handlers = events();
  handlers.data = [this](Conn&, const Bytes&, Output&) {
    blocked_.open();
    EXPECT_TRUE(go_.wait());
    return Action::Close;
  };
  handlers.closed = [discards](Conn&, const Error&) {
    *discards = true;
    return Action::None;
  };
  serve(handlers);
  const OpensAtEnd opens(go_);
  Client flood = server_->connect();
  ASSERT_TRUE(flood.send_all("close"));
  ASSERT_TRUE(blocked_.wait());
  ASSERT_TRUE(flood.send_all(pattern(kReads * kShort)));
  flood.wait_for_arrival();
  go_.open();
  EXPECT_TRUE(eventually([&] { return turns_.total() >= kReads; }));
  EXPECT_EQ(turns_.most(), 64u);
}

TEST_P(TurnBoundsTest, ADatagramSocketGivesThirtyTwo) {
  Counter heard;
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes& in, Output&) {
    if (in == "block") {
      blocked_.open();
      EXPECT_TRUE(go_.wait());
    }
    turns_.add(1);
    heard.add();
    return Action::None;
  };
  watch(nullptr);
  server_ = std::make_unique<TestServer>(
      handlers, mode().poller == PollerKind::kEpoll ? "udp://127.0.0.1:0" : "udp-net://127.0.0.1:0");
  DatagramClient client("127.0.0.1", server_->addr().port());
  client.send("block");
  ASSERT_TRUE(blocked_.wait());
  for (int i = 0; i != 100; ++i) client.send("x");
  go_.open();
  ASSERT_TRUE(heard.wait_for(101));
  EXPECT_EQ(turns_.most(), 32u);
}

TEST_P(TurnBoundsTest, AThousandTimersRun) {
  constexpr int kMany = 3'500;
  std::vector<int> order;
  Counter ran;
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes&, Output&) {
    for (int i = 0; i != kMany; ++i) {
      conn.server().post_after(0, std::chrono::nanoseconds(0), [&, i] {
        order.push_back(i);
        turns_.add(1);
        ran.add();
        return Action::None;
      });
    }
    return Action::None;
  };
  watch(nullptr);
  serve(handlers);
  Client client = server_->connect();
  ASSERT_TRUE(client.send_all("x"));
  ASSERT_TRUE(ran.wait_for(kMany));
  EXPECT_EQ(turns_.most(), 1'000u);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

EVIO_INSTANTIATE(TurnBoundsTest, modes_of({1}));

}  // namespace
}  // namespace evio::test
