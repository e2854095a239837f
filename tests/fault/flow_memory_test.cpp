// Memory runs out where flow is controlled and a side ends: the call is refused, or that connection closes, and no
// other.
#include <array>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/fault/failing_memory.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class FlowMemoryTest : public FailingMemoryTest {
 protected:
  static constexpr Client::Tuning kSmall{.receive_buffer = 65'536};

  Events handlers() {
    Events handlers = events();
    handlers.serving = [](const Server&) {
      may_fail = true;
      return Action::None;
    };
    handlers.opened = [this](Conn& conn, Output& out, Options& opts) {
      const Untouched mine;
      const std::lock_guard lock(mutex_);
      conns_.push_back(conn);
      opts.high_water = 200'000;
      opts.low_water = 100'000;
      opts.max_pending = 20'000'000;
      opts.half_open = true;
      opts.read_while_pending = true;
      opened_.add();
      out = "+";
      return Action::None;
    };
    handlers.data = [this](Conn& conn, const Bytes& in, Output& out) {
      if (in == "much") out.append(large_);
      if (in == "text") out.append(large_.view());
      if (in == "send") conn.send(large_);
      if (in == "end") conn.close_write();
      if (in == "ping") out = "pong";
      if (in == "pause") conn.pause(), conn.resume();
      return Action::None;
    };
    handlers.congested = [](Conn& conn) {
      conn.pause();
      return Action::None;
    };
    handlers.drained = [this](Conn& conn, Output& out) {
      conn.resume();
      conn.send("drained");
      out.append(large_.view().substr(0, 30'000));
      return Action::None;
    };
    handlers.ended = [this](Conn& conn, Output& out) {
      conn.send(large_);
      out = "ended";
      conn.close_write();
      return Action::None;
    };
    handlers.closed = [this](Conn& conn, const Error&) {
      const Untouched mine;
      const std::lock_guard lock(mutex_);
      EXPECT_EQ(conn.pending(), 0u);
      closed_.add();
      return Action::None;
    };
    return handlers;
  }

  // What the clients get depends on what fails; each comes to an end.
  void exercise(const TestServer& server) {
    static constexpr std::array kWhat{"much", "text", "send", "end", "pause", ""};
    std::vector<Client> clients;
    while (clients.size() < kWhat.size()) clients.emplace_back(server.addr(), kSmall);
    for (std::size_t i = 0; i != clients.size(); ++i) {
      if (clients[i].receive(1) == "+") clients[i].send_all(kWhat[i]);
    }
    std::vector<Conn> conns;
    {
      const std::lock_guard lock(mutex_);
      conns.assign(conns_.begin() + 1, conns_.end());  // without the bystander
    }
    // On a thread that has no memory either. What is refused has not happened.
    std::thread([&] {
      may_fail = true;
      for (const Conn& conn : conns) {
        conn.pause();
        conn.send(large_);
        conn.resume();
        conn.close_write();
      }
      may_fail = false;
    }).join();
    for (Client& client : clients) {
      client.shutdown_write();
      client.receive_all();
    }
  }

  // Exercises a server with the n-th allocation failing. Returns whether there was one.
  bool fail_nth(int n) {
    SCOPED_TRACE(n);
    const std::string where = address();
    TestServer server(handlers(), where);
    const std::size_t size = large_.size();
    Client bystander = server.connect();
    bystander.send_all("ping");
    EXPECT_EQ(bystander.receive(5), "+pong");  // all there is to allocate for it by now is
    fail_allocations(n);
    exercise(server);
    const bool any = fail_no_more() != 0;
    bystander.send_all("text");
    EXPECT_EQ(bystander.receive(size).size(), size) << "it had no part in it";
    Client late = server.connect();
    EXPECT_EQ(late.receive(1), "+");
    server.shutdown();
    EXPECT_FALSE(server.wait());
    EXPECT_EQ(opened_.value(), closed_.value());
    const std::lock_guard lock(mutex_);
    conns_.clear();
    return any;
  }

  const Bytes large_{pattern(1'000'000)};
  std::mutex mutex_;
  std::vector<Conn> conns_;
  Counter opened_;
  Counter closed_;
};
EVIO_INSTANTIATE(FlowMemoryTest, modes_of({1}));

TEST_P(FlowMemoryTest, CostsTheCallOrThatConnection) {
  int n = 0;
  while (fail_nth(n) && !HasFailure()) n += 1 + n / 8;  // the first ones matter most
  EXPECT_GT(n, 5);
}

// Output of several pieces, of which memory runs out for one: the figure must not be less than what was counted.
TEST_P(FlowMemoryTest, LeavesTheFigureOfWhatWaitsAsItWas) {
  bool some_failed = true;
  for (int n = 0; some_failed && n != 50 && !HasFailure(); ++n) {
    SCOPED_TRACE(n);
    Events server_handlers = handlers();
    server_handlers.data = [&](Conn&, const Bytes&, Output& out) {
      const Untouched mine;
      for (int i = 0; i != 8; ++i) out.append("copied").append(large_);
      fail_allocations(n);
      return Action::None;
    };
    server_handlers.congested = nullptr;
    server_handlers.drained = nullptr;
    TestServer server(server_handlers, address());
    Client client(server.addr(), kSmall);
    EXPECT_EQ(client.receive(1), "+");
    EXPECT_TRUE(client.send_all("x"));
    EXPECT_EQ(client.receive(1), "c");
    EXPECT_TRUE(eventually([&] { return !some_are_to_fail() || server.handle().stats().pending != 0; }));
    some_failed = fail_no_more() != 0;
    server.shutdown();
    client.receive_all();
    EXPECT_FALSE(server.wait());
    EXPECT_EQ(server.handle().stats().pending, 0u);
    const std::lock_guard lock(mutex_);
    conns_.clear();
  }
  EXPECT_FALSE(some_failed);
}

}  // namespace
}  // namespace evio::test
