// Guarantee 27: stopping runs once, on loop 0, when a shutdown begins; what it sends leaves, what it posts runs.
#include <atomic>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class StoppingTest : public ModeTest {
 protected:
  // Keeps every connection that is opened.
  Events keeping() {
    Events handlers = events();
    handlers.drain_timeout = kPatience;
    handlers.opened = [this](Conn& conn, Output&, Options&) {
      {
        const std::lock_guard lock(mutex_);
        conns_.push_back(conn);
      }
      opened_.add();
      return Action::None;
    };
    return handlers;
  }

  std::mutex mutex_;
  std::vector<Conn> conns_;
  Counter opened_;
  std::atomic<int> calls_{0};
};
EVIO_INSTANTIATE(StoppingTest, with_tls(all_modes()));

TEST_P(StoppingTest, RunsOnceOnLoopZeroAndWhatItSendsLeaves) {
  constexpr std::size_t kClients = 12;
  Events handlers = keeping();
  std::atomic<std::thread::id> thread;
  handlers.stopping = [&](const Server& server) {
    ++calls_;
    thread = std::this_thread::get_id();
    EXPECT_EQ(server.num_loops(), loops());
    const std::lock_guard lock(mutex_);
    for (const Conn& conn : conns_) EXPECT_TRUE(conn.send("goodbye"));
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (std::size_t i = 0; i < kClients; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(opened_.wait_for(kClients));
  server.shutdown();
  server.shutdown();
  for (Client& client : clients) EXPECT_EQ(client.receive_all(), "goodbye");
  server.wait();
  EXPECT_EQ(calls_, 1);
  EXPECT_EQ(thread.load(), server.thread());
}

TEST_P(StoppingTest, WhatItPostsRuns) {
  Events handlers = keeping();
  std::atomic<int> ran{0};
  handlers.stopping = [&](const Server& server) {
    const std::lock_guard lock(mutex_);
    EXPECT_TRUE(conns_.front().post([](Conn&, Output& out) {
      out = "posted";
      return Action::None;
    }));
    for (int loop = 0; loop != server.num_loops(); ++loop) {
      EXPECT_TRUE(server.post(loop, [&] {
        ++ran;
        return Action::None;
      })) << loop;
    }
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(opened_.wait_for(1));
  server.shutdown();
  EXPECT_EQ(client.receive_all(), "posted");
  server.wait();
  EXPECT_EQ(ran, loops());
}

TEST_P(StoppingTest, WithoutADrainWhatItSendsIsTriedOnce) {
  Events handlers = keeping();
  handlers.drain_timeout = std::chrono::nanoseconds(0);
  handlers.stopping = [&](const Server&) {
    const std::lock_guard lock(mutex_);
    EXPECT_TRUE(conns_.front().send("goodbye"));
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(opened_.wait_for(1));
  server.shutdown();
  EXPECT_EQ(client.receive(7), "goodbye");
}

TEST_P(StoppingTest, RunsAfterAnActionToo) {
  Events handlers = keeping();
  handlers.data = [](Conn&, const Bytes&, Output&) { return Action::Shutdown; };
  handlers.stopping = [&](const Server&) { ++calls_; };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(client.send_all("x"));
  EXPECT_EQ(client.receive_all(), "");
  server.wait();
  EXPECT_EQ(calls_, 1);
}

TEST_P(StoppingTest, DoesNotRunWhenServingAsksForTheShutdown) {
  Events handlers = keeping();
  handlers.stopping = [&](const Server&) { ++calls_; };
  handlers.serving = [](const Server&) { return Action::Shutdown; };
  TestServer(handlers, address()).wait();
  handlers.serving = [](const Server& server) {
    server.shutdown();
    return Action::None;
  };
  TestServer(handlers, address()).wait();
  EXPECT_EQ(calls_, 0);
}

TEST_P(StoppingTest, RunsWhenAnotherThreadAsksBeforeAnyLoopRuns) {
  Events handlers = keeping();
  std::atomic<int> ran{0};
  handlers.serving = [](const Server& server) {
    std::thread([server] { server.shutdown(); }).join();
    return Action::None;
  };
  handlers.stopping = [&](const Server& server) {
    ++calls_;
    EXPECT_TRUE(server.post(server.num_loops() - 1, [&] {
      ++ran;
      return Action::None;
    }));
  };
  TestServer(handlers, address()).wait();
  EXPECT_EQ(calls_, 1);
  EXPECT_EQ(ran, 1);
}

TEST_P(StoppingTest, AnExceptionEndsTheServerAllTheSame) {
  Events handlers = keeping();
  handlers.stopping = [](const Server&) { throw std::runtime_error("of stopping"); };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(opened_.wait_for(1));
  server.shutdown();
  EXPECT_EQ(client.receive_all(), "");
  server.wait();
  EXPECT_EQ(server.thrown_message(), "of stopping");
}

}  // namespace
}  // namespace evio::test
