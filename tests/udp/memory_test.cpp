// Nothing kills the server but Shutdown: no memory for datagrams costs datagrams, and only while it lasts.
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "tests/support/datagram_fixture.hpp"
#include "tests/support/handlers.hpp"

namespace {

// Allocations of this size and more fail, but not on the test's own thread. Read on every thread.
std::atomic<std::size_t> fails_from{SIZE_MAX};
thread_local bool is_test_thread = false;
// Every allocation of this thread fails, and no other's: other loops may still be starting.
thread_local bool all_fail_here = false;
std::atomic<int> failures{0};

void* allocate(std::size_t size) {
  if (all_fail_here || (!is_test_thread && size >= fails_from.load())) {
    ++failures;
    throw std::bad_alloc();
  }
  if (void* const memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace evio::test {
namespace {

class UdpMemoryTest : public DatagramTest {
 protected:
  void SetUp() override {
    DatagramTest::SetUp();
    is_test_thread = true;
    failures = 0;
  }
  void TearDown() override {
    fails_from = SIZE_MAX;
    DatagramTest::TearDown();
  }
};
EVIO_INSTANTIATE_DATAGRAMS(UdpMemoryTest, all_datagram_modes());

TEST_P(UdpMemoryTest, NoneForNewInputCostsNoMoreThanDatagrams) {
  std::vector<Bytes> kept;
  kept.reserve(1000);
  std::mutex mutex;
  Counter heard;
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    {
      const std::lock_guard lock(mutex);
      kept.push_back(in);  // the block it is in must be replaced
    }
    heard.add();
    return echo(conn, in, out);
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  fails_from = 60'000;
  // As many as there are blocks to be used up, and then some that are lost.
  ASSERT_TRUE(eventually([&] {
    client.send("one of many");
    return failures.load() > 2;
  }));
  fails_from = SIZE_MAX;
  while (client.poll()) {
  }
  ASSERT_TRUE(eventually([&] {
    client.send("after");
    while (const auto packet = client.poll()) {
      if (packet->text == "after") return true;
    }
    return false;
  }));
  const std::lock_guard lock(mutex);
  for (const Bytes& text : kept) EXPECT_TRUE(text == "one of many" || text == "after");
}

TEST_P(UdpMemoryTest, NoneAtAllInTheLoopCostsNoMoreThanDatagrams) {
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    all_fail_here = in == "fail";
    out = in;
    EXPECT_TRUE(!(in == "fail") || conn.send(Bytes::literal("sent")));
    all_fail_here = false;
    return Action::None;
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  for (int i = 0; i != 3; ++i) {
    client.send("warm");
    EXPECT_EQ(client.receive_text(), "warm");
    client.send("fail");
    EXPECT_EQ(client.receive_text(), "sent");
    EXPECT_EQ(client.receive_text(), "fail");
  }
}

}  // namespace
}  // namespace evio::test
