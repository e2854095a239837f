#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/dial_fixture.hpp"
#include "tests/support/example_program.hpp"
#include "tests/support/silent_port.hpp"

namespace evio::test {
namespace {

class ProxyExample : public ServerTest {
 protected:
  void serve(Events events) { target_ = std::make_unique<TestServer>(std::move(events), "tcp://127.0.0.1:0"); }
  void serve_echo() {
    Events events;
    events.num_loops = 2;
    events.opened = [](Conn&, Output&, Options& options) {
      options.half_open = true;
      return Action::None;
    };
    events.data = echo;
    events.ended = [](Conn&, Output&) { return Action::Close; };
    serve(std::move(events));
  }
  std::vector<std::string> flags(const std::string& to) const {
    return {"--listen=tcp://127.0.0.1:0", "--to=" + to, "--loops=2"};
  }
  std::vector<std::string> flags() const { return flags(dial_text(target_->addr())); }
  void TearDown() override {
    target_.reset();
    ServerTest::TearDown();
  }

  std::unique_ptr<TestServer> target_;
};

TEST_F(ProxyExample, PassesWhatEitherSideSendsAndEnds) {
  serve_echo();
  Program proxy(EVIO_EXAMPLES_DIR "/proxy", flags());
  Client client = proxy.connect();
  ASSERT_TRUE(client.send_all("hello"));
  EXPECT_EQ(client.receive(5), "hello");
  ASSERT_TRUE(client.send_all("bye"));
  client.shutdown_write();
  EXPECT_EQ(client.receive_all(), "bye");
  EXPECT_TRUE(client.at_end());
}

// Each sends much before it reads, and each ends its half: every byte arrives, and little is kept.
TEST_F(ProxyExample, ManyPassMuchBothWays) {
  constexpr std::size_t kClients = kSanitized ? 5 : 50;
  constexpr std::size_t kEach = 1'000'000;
  serve_echo();
  Program proxy(EVIO_EXAMPLES_DIR "/proxy", flags());
  const std::string text = pattern(kEach);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i != kClients; ++i) {
    threads.emplace_back([&, client = proxy.connect()]() mutable {
      std::thread sender([&, out = twin(client)]() mutable {
        EXPECT_TRUE(out.send_all(text));
        out.shutdown_write();
      });
      EXPECT_TRUE(client.receive_all() == text);
      EXPECT_TRUE(client.at_end());
      sender.join();
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (!kSanitized) {
    EXPECT_LT(proxy.peak_memory(), 128u * 1024 * 1024);
  }
  proxy.signal(SIGUSR1);
  EXPECT_TRUE(proxy.wait_for("proxy: " + std::to_string(kClients) + " accepted, " + std::to_string(kClients) +
                             " dialed, 0 unreachable, "));
}

TEST_F(ProxyExample, WhomItCannotReachIsResetAndLogged) {
  const ClosedPort closed;
  Program proxy(EVIO_EXAMPLES_DIR "/proxy", flags(closed.address()));
  Client client = proxy.connect();
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_EQ(client.error(), std::errc::connection_reset);
  EXPECT_TRUE(proxy.wait_for("dial " + closed.address() + ": connect: Connection refused"));
}

// A client that reads nothing is not read for, and one that vanishes takes the other side with it.
TEST_F(ProxyExample, AResetIsPassedOn) {
  Gate opened;
  Gate closed;
  Events events;
  events.opened = [&](Conn&, Output&, Options&) {
    opened.open();
    return Action::None;
  };
  events.closed = [&](Conn&, const Error& err) {
    EXPECT_EQ(err.code(), std::errc::connection_reset);
    closed.open();
    return Action::None;
  };
  serve(std::move(events));
  Program proxy(EVIO_EXAMPLES_DIR "/proxy", flags());
  Client client = proxy.connect();
  ASSERT_TRUE(opened.wait());
  client.reset();
  EXPECT_TRUE(closed.wait());
}

}  // namespace
}  // namespace evio::test
