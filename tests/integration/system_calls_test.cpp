// Guarantee 5 and the promise of the steady state: what a loop asks of the kernel for an echo, and that it asks for
// nothing when nothing happens.
#include <map>
#include <set>
#include <string>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"
#include "tests/support/process.hpp"
#include "tests/support/strace.hpp"

#if !EVIO_TEST_ADDRESS_SANITIZER && !EVIO_TEST_THREAD_SANITIZER

namespace evio::test {
namespace {

class SystemCallsTest : public ModeTest {
 protected:
  std::string waiting() const { return mode().poller == PollerKind::kPortable ? "poll" : "epoll_wait"; }
};
EVIO_INSTANTIATE(SystemCallsTest, modes_of({1, 4}));

TEST_P(SystemCallsTest, AnEchoIsAWaitAReadAndAWrite) {
  constexpr int kMessages = 200;
  Events handlers = events();
  handlers.data = echo;
  TestServer server(handlers, address());
  Client client = server.connect();
  const auto ping = [&] {
    client.send_all("ping");
    ASSERT_EQ(client.receive(4), "ping");
  };
  ping();
  Strace strace(baseline().new_threads());
  if (!strace.attached()) GTEST_SKIP() << "the system does not let strace attach";
  for (int i = 0; i < kMessages; ++i) ping();
  std::map<std::string, int> calls = strace.stop();
  calls.erase("restart_syscall");  // the wait that attaching and detaching interrupts
  std::set<std::string> names;
  for (const auto& [name, count] : calls) names.insert(name);
  EXPECT_EQ(names, (std::set<std::string>{waiting(), "read", "write"}));
  EXPECT_EQ(calls["read"], kMessages);
  EXPECT_EQ(calls["write"], kMessages);
  EXPECT_LE(calls[waiting()], kMessages + 2 * server.handle().num_loops());
}

TEST_P(SystemCallsTest, AnIdleServerMakesNone) {
  Events handlers = events();
  handlers.data = echo;
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("ping");
  ASSERT_EQ(client.receive(4), "ping");
  Strace strace(baseline().new_threads());
  if (!strace.attached()) GTEST_SKIP() << "the system does not let strace attach";
  EXPECT_TRUE(client.is_quiet());
  std::map<std::string, int> calls = strace.stop();
  // The one wait of each loop that goes on, and is interrupted by attaching and detaching.
  calls.erase("restart_syscall");
  EXPECT_LE(calls[waiting()], 2 * server.handle().num_loops());
  calls.erase(waiting());
  EXPECT_TRUE(calls.empty()) << calls.begin()->first;
}

}  // namespace
}  // namespace evio::test

#endif
