// What Go evio's TestServe does, with its outcome asserted: ten clients echo random amounts at the same time, over both
// networks, both pollers, 1, 5 and N loops, each number with a balance of its own.
#include <atomic>
#include <ostream>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/fixture.hpp"

namespace evio::test {
namespace {

constexpr int kClients = 10;
constexpr int kRounds = kSanitized ? 3 : 6;
constexpr std::size_t kMost = 1024 * 1024;
constexpr std::string_view kGreeting = "sweetness\r\n";

struct Case {
  Mode mode;
  LoadBalance balance;
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.mode; }

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Mode& mode : modes_of({1})) all.push_back({mode, LoadBalance::Random});
  for (const Mode& mode : modes_of({5})) all.push_back({mode, LoadBalance::LeastConnections});
  for (const Mode& mode : modes_of({-1})) all.push_back({mode, LoadBalance::RoundRobin});
  return all;
}

// Sends from this thread while another receives, as the amounts are beyond what sockets hold.
void run_client(const Addr& addr, unsigned seed) {
  Client client(addr);
  EXPECT_EQ(client.receive(kGreeting.size()), kGreeting);
  std::mt19937 random(seed);
  std::uniform_int_distribution<std::size_t> size(0, kMost);
  for (int round = 0; round < kRounds; ++round) {
    const std::string sent = pattern(size(random), seed + static_cast<unsigned>(round) * kClients);
    std::string received;
    std::thread receiver([&] { received = client.receive(sent.size()); });
    EXPECT_TRUE(client.send_all(sent));
    receiver.join();
    EXPECT_TRUE(received == sent) << received.size() << " of " << sent.size() << " bytes";
  }
}

class EvioPortServeTest : public ServerTest, public testing::WithParamInterface<Case> {
 protected:
  Events events() {
    Events handlers;
    handlers.num_loops = GetParam().mode.loops;
    handlers.load_balance = GetParam().balance;
    handlers.serving = [this](const Server& server) {
      addr_ = server.addrs().front();
      return Action::None;
    };
    handlers.opened = [this](Conn& conn, Output& out, Options& opts) {
      connected_.fetch_add(1);
      conn.set_context(conn);
      EXPECT_NE(conn.local_addr(), Addr());
      EXPECT_EQ(conn.remote_addr().network(), GetParam().mode.is_tcp() ? "tcp" : "unix");
      opts.tcp_keep_alive = std::chrono::minutes(5);
      out = kGreeting;
      return Action::None;
    };
    handlers.data = [](Conn&, const Bytes& in, Output& out) {
      out = in;
      return Action::None;
    };
    handlers.closed = [this](Conn& conn, const Error& err) {
      EXPECT_FALSE(err) << err.message();
      EXPECT_NE(conn.context<Conn>(), nullptr);
      EXPECT_EQ(*conn.context<Conn>(), conn);
      return disconnected_.fetch_add(1) + 1 == kClients ? Action::Shutdown : Action::None;
    };
    handlers.tick = [this](std::chrono::nanoseconds& delay) {
      if (clients_.empty()) {
        for (unsigned i = 0; i < kClients; ++i) clients_.emplace_back([this, i] { run_client(addr_, i); });
      }
      delay = std::chrono::milliseconds(200);
      return Action::None;
    };
    return handlers;
  }

  Addr addr_;
  std::atomic<int> connected_{0};
  std::atomic<int> disconnected_{0};
  std::vector<std::thread> clients_;
};

TEST_P(EvioPortServeTest, TenClientsEchoRandomAmounts) {
  const Mode& mode = GetParam().mode;
  const Error err = serve(events(), mode.scheme() + "://" + (mode.is_tcp() ? ":0" : path("socket")));
  EXPECT_FALSE(err) << err.message();
  for (std::thread& client : clients_) client.join();
  EXPECT_EQ(connected_.load(), kClients);
  EXPECT_EQ(disconnected_.load(), kClients);
}

INSTANTIATE_TEST_SUITE_P(, EvioPortServeTest, testing::ValuesIn(cases()),
                         [](const auto& c) { return c.param.mode.name(); });

}  // namespace
}  // namespace evio::test
