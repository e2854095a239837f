// In steady state echo, http and redis GET allocate nothing: every operator new of the server's thread is counted.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdlib>
#include <evio/evio.hpp>
#include <future>
#include <new>
#include <string>
#include <string_view>
#include <thread>

#include "examples/http/service.hpp"
#include "examples/redis/service.hpp"
#include "tests/support/client.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace {

thread_local bool counted = false;
std::atomic<int> allocations{0};

void* allocate(std::size_t size, std::size_t alignment) {
  if (counted) allocations.fetch_add(1, std::memory_order_relaxed);  // relaxed: only ever read after an answer
  size = (size + alignment - 1) / alignment * alignment;
  if (void* memory = std::aligned_alloc(alignment, size != 0 ? size : alignment)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace evio::test {
namespace {

// How often a server of one loop allocates while it answers `request` many times, once it is warm.
class Allocations : public testing::Test {
 protected:
  void SetUp() override {
    if (kAddressSanitizer) GTEST_SKIP() << "there each read gets fresh storage";
  }
  int count(Events events, std::string_view request, std::size_t answer_size, std::string_view first = "",
            std::string_view first_answer = "") {
    std::promise<Server> serving;
    events.serving = [&](const Server& server) {
      counted = true;  // loop 0 runs on the thread that calls serve()
      serving.set_value(server);
      return Action::None;
    };
    std::thread thread([&] { EXPECT_FALSE(serve(std::move(events), "tcp://127.0.0.1:0")); });
    const Server server = serving.get_future().get();
    Client client(server.addrs()[0]);
    client.send_all(first);
    EXPECT_EQ(client.receive(first_answer.size()), first_answer);
    constexpr int kWarmUp = 100;
    constexpr int kRequests = 1000;
    int warm = 0;
    for (int i = 0; i < kWarmUp + kRequests; ++i) {
      if (i == kWarmUp) warm = allocations.load(std::memory_order_relaxed);
      client.send_all(request);
      EXPECT_EQ(client.receive(answer_size).size(), answer_size);
    }
    const int cold = allocations.load(std::memory_order_relaxed);
    server.shutdown();
    thread.join();
    EXPECT_GT(cold, 0) << "nothing was counted at all";
    return cold - warm;
  }

 private:
  Watchdog watchdog_{"an allocation test", kWatchdogLimit};
};

std::string times(int n, std::string_view text) {
  std::string all;
  while (n-- > 0) all += text;
  return all;
}

constexpr std::string_view kGet = "GET /a?b=c HTTP/1.1\r\nHost: localhost:8080\r\nAccept: */*\r\n\r\n";
const std::size_t kAnswer =
    std::string_view(
        "HTTP/1.1 200 OK\r\nServer: evio\r\nDate: Sun, 22 Nov 2026 06:29:30 GMT\r\nContent-Length: 14\r\n\r\n")
        .size() +
    14;

TEST_F(Allocations, NoneToEcho) {
  Events events;
  events.data = [](Conn&, const Bytes& in, Output& out) {
    out = in;
    return Action::None;
  };
  EXPECT_EQ(count(std::move(events), "hello!", 6), 0);
}

TEST_F(Allocations, NoneToAnswerHttp) {
  EXPECT_EQ(count(http::events({}), kGet, kAnswer), 0);
  EXPECT_EQ(count(http::events({.noparse = false}), kGet, kAnswer), 0);
  EXPECT_EQ(count(http::events({}), times(16, kGet), 16 * kAnswer), 0);
}

TEST_F(Allocations, NoneToGetARedisKey) {
  const std::string key = "key:000000000042";
  const std::string set = "*3\r\n$3\r\nSET\r\n$16\r\n" + key + "\r\n$5\r\nvalue\r\n";
  const std::string get = "*2\r\n$3\r\nGET\r\n$16\r\n" + key + "\r\n";
  const std::size_t answer = std::string_view("$5\r\nvalue\r\n").size();
  EXPECT_EQ(count(redis::events(), get, answer, set, "+OK\r\n"), 0);
  EXPECT_EQ(count(redis::events(), times(16, get), 16 * answer, set, "+OK\r\n"), 0);
  EXPECT_EQ(count(redis::events(), "*1\r\n$4\r\nPING\r\n", 7), 0);
}

}  // namespace
}  // namespace evio::test
