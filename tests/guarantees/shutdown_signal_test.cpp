// Guarantee 12: Server::shutdown() may be called from a signal handler.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

const Server* server_of_handler = nullptr;

class ShutdownSignalTest : public ModeTest {
 protected:
  void SetUp() override {
    ModeTest::SetUp();
    struct sigaction action {};
    action.sa_handler = [](int) { server_of_handler->shutdown(); };
    ::sigaction(SIGUSR1, &action, &before_);
  }
  void TearDown() override {
    ::sigaction(SIGUSR1, &before_, nullptr);
    ModeTest::TearDown();
  }

 private:
  struct sigaction before_ {};
};
EVIO_INSTANTIATE(ShutdownSignalTest, all_modes());

TEST_P(ShutdownSignalTest, EndsTheServer) {
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  TestServer server(handlers, address());
  server_of_handler = &server.handle();
  std::vector<Client> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(log.wait_for("opened", 5));
  ::kill(::getpid(), SIGUSR1);
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(log.count("closed"), 5u);
}

TEST_P(ShutdownSignalTest, OnALoopsOwnThreadWithinACallback) {
  Server handle;
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes&, Output&) {
    ::raise(SIGUSR1);
    return Action::None;
  };
  TestServer server(handlers, address());
  handle = server.handle();
  server_of_handler = &handle;
  Client client = server.connect();
  client.send_all("x");
  EXPECT_FALSE(server.wait());
  ::raise(SIGUSR1);  // once more, after serve has returned
}

// Signals that are none of its business, handled without SA_RESTART, interrupt its calls and change nothing.
TEST_P(ShutdownSignalTest, OtherSignalsDisturbNothing) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) {};
  ::sigaction(SIGUSR2, &action, &before);
  Events handlers = events();
  handlers.data = echo;
  TestServer server(handlers, address());
  std::atomic<bool> stop{false};
  const auto loops_threads = baseline().new_threads();
  std::thread pesterer([&] {
    while (!stop.load(std::memory_order_relaxed)) {  // relaxed: nothing else is passed on
      for (const pid_t thread : loops_threads) ::tgkill(::getpid(), thread, SIGUSR2);
      std::this_thread::yield();
    }
  });
  const std::string text = pattern(2'000'000);
  Client client(server.addr(), {.receive_buffer = 131'072});
  std::thread sender([&] { client.send_all(text); });
  EXPECT_TRUE(client.receive(text.size()) == text);
  sender.join();
  server.shutdown();
  EXPECT_FALSE(server.wait());
  stop = true;
  pesterer.join();
  ::sigaction(SIGUSR2, &before, nullptr);
}

}  // namespace
}  // namespace evio::test
