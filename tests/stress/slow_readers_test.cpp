// A thousand clients of the redis example that ask for much and read nothing, and a hundred that read.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/example_program.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::test {
namespace {

constexpr std::size_t kSlow = 1000;
constexpr int kGood = 100;
constexpr int kRequests = 1000;  // of each slow one: 15 MB of answers

void allow_descriptors(rlim_t count) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min(limit.rlim_max, std::max(limit.rlim_cur, count));
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

TEST(SlowReadersTest, CostLittleAndTheOthersAreServed) {
  const Watchdog watchdog("slow readers", 2 * kWatchdogLimit);
  allow_descriptors(kSlow + 1000);
  Program redis(EVIO_EXAMPLES_DIR "/redis", {"--port=0", "--unixsocket=", "--loops=2"});
  const std::string value = pattern(15'000);
  const std::string answer = "$15000\r\n" + value + "\r\n";
  Client first = redis.connect();
  first.send_all("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n" + answer);
  EXPECT_EQ(first.receive(5), "+OK\r\n");
  const std::size_t before = redis.memory();

  std::vector<Client> slow;
  for (std::size_t i = 0; i < kSlow; ++i) {
    slow.push_back(redis.connect());
    const int small = 4096;  // the kernel has a limit for all sockets together
    if (i > 0) ::setsockopt(slow.back().fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    ASSERT_TRUE(slow.back().send_all(repeated("GET k\r\n", 7 * std::size_t{kRequests}))) << i;
  }
  for (Client& client : slow) ASSERT_TRUE(client.has_input());  // each has been answered in part
  for (int i = 0; i < kGood; ++i) {
    Client good = redis.connect();
    for (int n = 0; n < 10; ++n) {
      good.send_all("GET k\r\n");
      ASSERT_TRUE(good.receive(answer.size()) == answer) << i;
    }
  }
  const std::size_t each = (redis.memory() - std::min(before, redis.memory())) / kSlow;
  RecordProperty("bytes_each", static_cast<int>(each));
  EXPECT_LT(each, (kSanitized ? 1024 : 128) * std::size_t{1024});

  slow.front().shutdown_write();
  for (int n = 0; n < kRequests; ++n) ASSERT_TRUE(slow.front().receive(answer.size()) == answer) << n;
  EXPECT_EQ(slow.front().receive_all(), "");
}

}  // namespace
}  // namespace evio::test
