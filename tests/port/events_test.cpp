// What Go evio's TestTick, TestShutdown and TestDetach do, with their outcome asserted.
#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/fixture.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

class EvioPortTest : public ModeTest {};
EVIO_INSTANTIATE(EvioPortTest, modes_of({1}));

TEST_P(EvioPortTest, TickRunsTwentyFiveTimesAndThenShutsDown) {
  constexpr int kTicks = 25;
  int count = 0;
  const auto began = std::chrono::steady_clock::now();
  Events handlers = events();
  handlers.tick = [&](std::chrono::nanoseconds& delay) {
    if (count == kTicks) return Action::Shutdown;
    ++count;
    delay = 10ms;
    return Action::None;
  };
  const Error err = serve(handlers, address());
  EXPECT_FALSE(err) << err.message();
  EXPECT_EQ(count, kTicks);
  EXPECT_GE(std::chrono::steady_clock::now() - began, kTicks * 10ms);
}

// Four servers at once, as evio's test runs them.
TEST(EvioPortManyTest, FourServersTickBesideEachOther) {
  std::vector<std::thread> servers;
  std::array<int, 4> counts{};
  for (std::size_t i = 0; i < counts.size(); ++i) {
    servers.emplace_back([&count = counts[i], i] {
      Events handlers;
      handlers.tick = [&](std::chrono::nanoseconds& delay) {
        delay = 2ms;
        return ++count == 25 ? Action::Shutdown : Action::None;
      };
      EXPECT_FALSE(serve(handlers, i % 2 == 0 ? "tcp://:0" : "tcp-net://:0"));
    });
  }
  for (std::thread& server : servers) server.join();
  for (const int count : counts) EXPECT_EQ(count, 25);
}

TEST_P(EvioPortTest, ShutdownFromTickClosesEveryClient) {
  constexpr int kClients = 10;
  std::atomic<int> open{0};
  std::atomic<int> opened{0};
  std::vector<std::thread> clients;
  Addr addr;
  Events handlers = events();
  handlers.serving = [&](const Server& server) {
    addr = server.addrs().front();
    return Action::None;
  };
  handlers.opened = [&](Conn&, Output&, Options&) {
    ++open;
    ++opened;
    return Action::None;
  };
  handlers.closed = [&](Conn&, const Error& err) {
    EXPECT_FALSE(err) << err.message();
    --open;
    return Action::None;
  };
  handlers.tick = [&](std::chrono::nanoseconds& delay) {
    delay = 5ms;
    if (!clients.empty()) return open == kClients ? Action::Shutdown : Action::None;
    for (int i = 0; i < kClients; ++i) {
      clients.emplace_back([addr] {
        Client client(addr);
        EXPECT_EQ(client.receive(1), "");
        EXPECT_TRUE(client.at_end()) << client.error().message();
      });
    }
    return Action::None;
  };
  const Error err = serve(handlers, address());
  EXPECT_FALSE(err) << err.message();
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(opened, kClients);
  EXPECT_EQ(open, 0) << "closed was not called for all";
}

// A client says a word, is detached, and goes on with the thread that owns the socket until it says goodbye.
TEST_P(EvioPortTest, DetachHandsTheConnectionToABlockingThread) {
  const std::string text = pattern(1'500'000);
  std::thread owner;
  Events handlers = events();
  handlers.data = [](Conn&, const Bytes& in, Output& out) {
    out = in;
    return Action::Detach;
  };
  handlers.closed = [](Conn&, const Error&) {
    ADD_FAILURE() << "closed was called for a detached connection";
    return Action::None;
  };
  handlers.detached = [&](Conn&, DetachedConn rwc) {
    owner = std::thread([socket = std::move(rwc)]() mutable {
      std::vector<char> buffer(70'000);
      Error err;
      for (std::size_t n = socket.read(buffer, err); n != 0; n = socket.read(buffer, err)) {
        EXPECT_EQ(socket.write({buffer.data(), n}, err), n);
      }
      EXPECT_FALSE(err) << err.message();
      EXPECT_EQ(socket.write("goodbye", err), 7u);
    });
    return Action::Shutdown;  // the server goes; the socket stays
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("detach me");
  EXPECT_EQ(client.receive(9), "detach me");
  EXPECT_FALSE(server.wait());
  std::thread sender([&] {
    client.send_all(text);
    client.shutdown_write();
  });
  EXPECT_TRUE(client.receive(text.size()) == text);
  EXPECT_EQ(client.receive_all(), "goodbye");
  sender.join();
  owner.join();
}

}  // namespace
}  // namespace evio::test
