// Shutdown racing with clients that connect, with sends, and with every call that other threads may make.
#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// How long each race is run, whatever the machine makes of that.
constexpr auto kFor = 1s;

// Runs a function on n threads, each told its number; joined at the end.
class Threads {
 public:
  template <class F>
  Threads(int n, F f) {
    for (int i = 0; i != n; ++i) threads_.emplace_back([f, i] { f(i); });
  }
  ~Threads() { join(); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  std::vector<std::thread> threads_;
};

// What must hold of a connection's events, whoever calls what meanwhile: kept in its context, so it is looked at on
// its loop alone, and TSan would tell if it were not.
struct Life {
  bool inside = false;
};

class ShutdownRaceTest : public ModeTest {
 protected:
  static constexpr std::array kBalances{LoadBalance::Random, LoadBalance::RoundRobin, LoadBalance::LeastConnections};

  // Echoes, counts, and sees that no two callbacks of one connection run at once.
  Events watching(int round) {
    Events handlers = events();
    handlers.load_balance = kBalances.at(static_cast<std::size_t>(round) % kBalances.size());
    handlers.opened = [this](Conn& conn, Output&, Options&) {
      conn.set_context(Life{});
      ++opened_;
      const std::lock_guard lock(mutex_);
      conns_.push_back(conn);
      return Action::None;
    };
    handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
      Life& life = *conn.context<Life>();
      EXPECT_FALSE(std::exchange(life.inside, true));
      echo(conn, in, out);
      life.inside = false;
      return Action::None;
    };
    handlers.closed = [this](Conn& conn, const Error&) {
      EXPECT_FALSE(conn.context<Life>()->inside);
      conn.wake();
      ++closed_;
      return Action::None;
    };
    return handlers;
  }

  // One of those that came last, open or gone; of nothing when there is none.
  Conn any_conn(std::size_t n) const {
    const std::lock_guard lock(mutex_);
    return conns_.empty() ? Conn() : conns_[conns_.size() - 1 - n % std::min<std::size_t>(conns_.size(), 16)];
  }
  std::vector<Conn> all_conns() const {
    const std::lock_guard lock(mutex_);
    return conns_;
  }

  // After serve has returned: every connection was closed once, and none takes anything any more.
  void expect_all_gone() {
    EXPECT_EQ(opened_.load(), closed_.load());
    for (const Conn& conn : all_conns()) {
      EXPECT_FALSE(conn.wake() || conn.send("too late") || conn.close());
    }
    conns_.clear();
  }

  std::atomic<int> opened_{0};
  std::atomic<int> closed_{0};
  mutable std::mutex mutex_;
  std::vector<Conn> conns_;
};
EVIO_INSTANTIATE(ShutdownRaceTest, modes_of({4}));

// Connects, says something and goes, one way or the other, until it is refused. What comes back is what was said.
void visit(const Addr& addr) {
  for (int n = 0; n != 2'000; ++n) {
    Client client(addr, {.may_be_refused = true});
    if (!client.connected()) return;
    const std::string text = "visit " + std::to_string(n);
    client.send_all(text);
    const std::string echo = client.receive(text.size());
    EXPECT_EQ(echo, text.substr(0, echo.size()));
    if (n % 3 == 0) client.reset();
  }
}

TEST_P(ShutdownRaceTest, ServersComeAndGoWhileClientsConnect) {
  const auto end = Clock::now() + kFor;
  const std::string unix_address = mode().is_tcp() ? "" : address();
  int rounds = 0;
  for (; rounds < 2 || Clock::now() < end; ++rounds) {
    // A unix server takes over the path from the one before; a port would be free for anybody meanwhile.
    TestServer server(watching(rounds), mode().is_tcp() ? address() : unix_address);
    const int before = opened_;
    Threads visitors(2, [addr = server.addr()](int) { visit(addr); });
    EXPECT_TRUE(eventually([&] { return opened_ >= before + rounds % 7; }));
    server.shutdown();
    EXPECT_FALSE(server.wait()) << server.wait().message();
    visitors.join();
    expect_all_gone();
  }
  RecordProperty("rounds", rounds);
}

// Records "sender number filling\n" that four threads send, each to all clients in turn.
constexpr int kSenders = 4;
constexpr int kClients = 3;

std::string record(int sender, int number) {
  const std::size_t filling = number % 64 == 0 ? 20'000 : 8;  // a large one now and then: shared, and too much at once
  return std::to_string(sender) + " " + std::to_string(number) + " " + std::string(filling, 'x') + "\n";
}

// Sends until the server takes no more. Returns how many were taken for certain before shutdown() was called.
int send_records(int sender, const std::vector<Conn>& conns, const std::atomic<bool>& called, Counter& sent) {
  int before = 0;
  for (int number = 0; number != 20'000; ++number) {
    if (!conns[static_cast<std::size_t>(number % kClients)].send(record(sender, number))) break;
    if (!called) before = number + 1;
    sent.add();
  }
  return before;
}

// Each sender's records for this client, from its first on and without a gap, at least those below `taken`.
void expect_records(const std::string& text, int client, const std::array<int, kSenders>& taken) {
  std::array<int, kSenders> next;
  next.fill(client);
  std::size_t at = 0;
  while (at != text.size()) {
    const auto sender = static_cast<std::size_t>(text[at] - '0');
    ASSERT_LT(sender, next.size());
    const std::string expected = record(static_cast<int>(sender), next.at(sender));
    ASSERT_EQ(text.substr(at, expected.size()), expected);
    next.at(sender) += kClients;
    at += expected.size();
  }
  for (std::size_t sender = 0; sender != next.size(); ++sender) {
    EXPECT_GE(next.at(sender), taken.at(sender))
        << "sends of thread " << sender << " to client " << client << " are lost";
  }
}

TEST_P(ShutdownRaceTest, WhatWasSentBeforeItArrives) {
  const auto end = Clock::now() + kFor;
  for (int round = 0; round < 2 || Clock::now() < end; ++round) {
    Events handlers = watching(round);
    handlers.drain_timeout = kPatience;
    TestServer server(handlers, address());
    std::vector<Client> clients;
    for (int i = 0; i != kClients; ++i) {
      clients.push_back(server.connect());
      ASSERT_TRUE(eventually([&] { return all_conns().size() == clients.size(); }));  // conn i is client i's
    }
    std::array<std::string, kClients> received;
    Threads readers(kClients, [&](int i) {
      const auto n = static_cast<std::size_t>(i);
      received.at(n) = clients[n].receive_all();
    });
    std::array<int, kSenders> taken{};
    std::atomic<bool> called{false};
    Counter sent;
    const std::vector<Conn> conns = all_conns();
    Threads senders(kSenders,
                    [&](int i) { taken.at(static_cast<std::size_t>(i)) = send_records(i, conns, called, sent); });
    EXPECT_TRUE(sent.wait_for(static_cast<std::size_t>(100 + 150 * (round % 10))));
    called = true;
    server.shutdown();
    senders.join();
    EXPECT_FALSE(server.wait());
    readers.join();
    for (int i = 0; i != kClients; ++i) expect_records(received.at(static_cast<std::size_t>(i)), i, taken);
    expect_all_gone();
  }
}

// Four threads call whatever may be called on connections that come, are used and go, until after the server's end.
TEST_P(ShutdownRaceTest, EveryCallOnConnectionsThatComeAndGo) {
  std::atomic<bool> stop{false};
  {
    TestServer server(watching(1), address());
    const auto call = [&](int thread) {
      for (std::size_t n = static_cast<std::size_t>(thread); !stop; n += kSenders) {
        const Conn conn = any_conn(n / 3);
        conn.wake();
        conn.send(n % 16 == 0 ? std::string(20'000, 'y') : "y");
        if (n % 5 == 0) conn.close();
        EXPECT_LT(conn.loop_index(), loops());
        std::this_thread::yield();
      }
    };
    Threads callers(kSenders, call);
    const auto end = Clock::now() + kFor;
    Threads visitors(2, [&, addr = server.addr()](int) {
      for (int n = 0; n == 0 || Clock::now() < end; ++n) {
        Client client(addr);
        client.send_all("something");
        if (n % 2 == 0)
          client.receive(static_cast<std::size_t>(n) % 10);  // of the echo, which comes unless it was closed
        if (n % 3 == 0) client.reset();
      }
    });
    visitors.join();
    const Client stays = server.connect();
    EXPECT_TRUE(eventually([&] { return opened_ > 0; }));
    server.shutdown();
    EXPECT_FALSE(server.wait());
    stop = true;
  }
  expect_all_gone();
}

}  // namespace
}  // namespace evio::test
