// Guarantee 24: two servers on one listening socket. The kernel wakes up one loop for a connection (epoll_ctl(2):
// EPOLLEXCLUSIVE), of whichever server; where that loop does not accept it, another must hear of it.
#include <atomic>
#include <string>
#include <thread>

#include "tests/fault/inject.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class SharedListenerTest : public ModeTest {
 protected:
  Events echoing() {
    Events handlers = events();
    handlers.data = echo;
    return handlers;
  }
};
EVIO_INSTANTIATE(SharedListenerTest, modes_of({1}));

// Between its wake-up and accept4(2) the first server begins to drain.
TEST_P(SharedListenerTest, WhatADrainingServerWasWokenForIsAcceptedByTheNextOne) {
  TestServer server(echoing(), address());
  const std::vector<int> duplicates = server.handle().dup_listeners();
  ASSERT_EQ(duplicates.size(), 1u);
  TestServer next(echoing(), "fd://" + std::to_string(duplicates.front()));
  std::atomic<std::thread::id> loop;
  std::atomic<bool> armed{false};
  const Injection injection([](Invocation&) { return 0; },
                            [&](const Invocation& invocation, long result) {
                              const bool waits = invocation.call == Call::kEpollWait || invocation.call == Call::kPoll;
                              if (!waits || result <= 0 || std::this_thread::get_id() != loop.load()) return;
                              if (armed.exchange(false)) server.handle().drain(kPatience);
                            });
  ASSERT_TRUE(server.handle().post(0, [&] {
    loop = std::this_thread::get_id();
    armed = true;
    return Action::None;
  }));
  ASSERT_TRUE(eventually([&] { return armed.load(); }));
  Client client = server.connect();
  ASSERT_TRUE(client.send_all("hello"));
  EXPECT_EQ(client.receive(5), "hello");
  client.close();
  server.shutdown();
  EXPECT_FALSE(server.wait());
  next.shutdown();
  EXPECT_FALSE(next.wait());
  if (!mode().is_tcp()) {
    EXPECT_EQ(::unlink(server.addr().path().c_str()), 0);
  }
}

}  // namespace
}  // namespace evio::test
