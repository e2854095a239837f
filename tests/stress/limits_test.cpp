// Many clients at once against a small limit: never one more than it allows, and everybody is served.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class LimitsLoadTest : public ModeTest {
 protected:
  static constexpr int kThreads = 8;
  static constexpr int kVisits = 250;

  Events counting(int max_connections) {
    Events handlers = events();
    handlers.max_connections = max_connections;
    handlers.accepting = [this, max_connections](int, const Addr&) {
      EXPECT_LE(++open_, max_connections);
      return true;
    };
    handlers.opened = [this](Conn&, Output&, Options&) {
      ++opened_;
      return Action::None;
    };
    handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
      echo(conn, in, out);
      return in.view().ends_with('0') ? Action::Close : in.view().ends_with('5') ? Action::Detach : Action::None;
    };
    handlers.closed = [this](Conn&, const Error&) {
      --open_;
      return Action::None;
    };
    handlers.detached = [this](Conn&, const DetachedConn&) {
      --open_;
      return Action::None;
    };
    return handlers;
  }

  // They come to the listeners in turn, and end each connection in another way.
  static void visit(const TestServer& server, std::size_t listeners, int thread) {
    for (int i = 0; i != kVisits; ++i) {
      Client client = server.connect(static_cast<std::size_t>(thread + i) % listeners);
      const std::string text = std::to_string(thread) + " " + std::to_string(i);
      client.send_all(text);
      ASSERT_EQ(client.receive(text.size()), text);
      if (i % 7 == 0) client.reset();
    }
  }

  void expect_all_served(const Events& handlers, const std::vector<std::string>& addresses) {
    opened_ = open_ = 0;
    TestServer server(handlers, addresses);
    std::vector<std::thread> visitors;
    for (int thread = 0; thread != kThreads; ++thread)
      visitors.emplace_back([&, thread] { visit(server, addresses.size(), thread); });
    for (std::thread& visitor : visitors) visitor.join();
    EXPECT_EQ(opened_, kThreads * kVisits);
    server.shutdown();
    EXPECT_FALSE(server.wait());
    EXPECT_EQ(open_, 0);
  }

  std::atomic<int> open_{0};  // from accept to the end of its last callback
  std::atomic<int> opened_{0};
};
EVIO_INSTANTIATE(LimitsLoadTest, modes_of({4}));

TEST_P(LimitsLoadTest, AFewPlacesForMany) {
  for (const int most : {1, 2, 5}) {
    for (const auto balance : {LoadBalance::Random, LoadBalance::LeastConnections}) {
      Events handlers = counting(most);
      handlers.load_balance = balance;
      expect_all_served(handlers, {address(), address(), address()});
    }
  }
}

TEST_P(LimitsLoadTest, WithASocketForEachLoop) {
  if (!mode().is_tcp()) return;
  expect_all_served(counting(2), {address() + "?reuseport=true", address()});
}

// A shutdown while listeners rest, are accepted for, and are told to go on.
TEST_P(LimitsLoadTest, AShutdownMeanwhile) {
  for (int round = 0; round != 20; ++round) {
    Events handlers = counting(2);
    handlers.accepting = nullptr;  // a shutdown drops who was not opened, without a word
    handlers.opened = [this](Conn&, Output&, Options&) {
      EXPECT_LE(++open_, 2);
      ++opened_;
      return Action::None;
    };
    open_ = opened_ = 0;
    TestServer server(handlers, {address(), address()});
    std::vector<std::thread> visitors;
    for (std::size_t thread = 0; thread != kThreads; ++thread) {
      visitors.emplace_back([&, thread] {
        for (;;) {
          Client client(server.addr(thread % 2), {.may_be_refused = true});
          if (!client.connected()) return;
          client.send_all("x");
          client.receive(1);
        }
      });
    }
    ASSERT_TRUE(eventually([&] { return opened_ >= 50; }));
    server.shutdown();
    EXPECT_FALSE(server.wait());
    for (std::thread& visitor : visitors) visitor.join();
  }
}

}  // namespace
}  // namespace evio::test
