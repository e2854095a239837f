#pragma once

#include <atomic>
#include <cerrno>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {

/// Servers that limit how many are connected, and their clients. Thread-safety: one thread; the handlers any.
class LimitsTest : public ModeTest {
 protected:
  void TearDown() override {
    clients_.clear();
    ModeTest::TearDown();
  }

  // Echoes, closes what says "close", and notes what happens and how many are open at once.
  Events limited(int max_connections) {
    Events handlers = events();
    handlers.max_connections = max_connections;
    handlers.opened = [this](Conn&, Output&, Options&) {
      note_open();
      log_.add("opened");
      return Action::None;
    };
    handlers.data = obey;
    handlers.closed = [this](Conn&, const Error&) {
      --open_;
      log_.add("closed");
      return Action::None;
    };
    return handlers;
  }
  void note_open() {
    const int now = ++open_;
    int most = most_open_;
    while (most < now && !most_open_.compare_exchange_weak(most, now)) {
    }
  }

  Client& connect(const TestServer& server, std::size_t address = 0) {
    clients_.push_back(server.connect(address));
    return clients_.back();
  }
  void connect_many(const TestServer& server, int clients, std::size_t address = 0) {
    for (int i = 0; i != clients; ++i) connect(server, address);
  }
  static void expect_echo(Client& client) {
    client.send_all("ping");
    EXPECT_EQ(client.receive(4), "ping");
  }
  // It is reset, or, where there is no reset, sees the end: no byte came.
  static void expect_refused(Client& client) {
    EXPECT_EQ(client.receive_all(), "");
    if (mode().is_tcp()) {
      EXPECT_EQ(client.error().value(), ECONNRESET);
    }
  }

  EventLog log_;
  std::atomic<int> open_{0};
  std::atomic<int> most_open_{0};
  std::vector<Client> clients_;
};

}  // namespace evio::test
