// 10,000 connections at once over 4 loops, each of which gets 64 KiB back; then the descriptors are what they were.
#include <array>
#include <atomic>
#include <iostream>
#include <string>

#include "tests/stress/crowd.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

constexpr std::size_t kBytes = std::size_t{64} * 1024;
constexpr int kLoops = 4;

// Ten thousand, or, with a word about it, as many as may be. A sanitizer makes each a good deal dearer.
std::size_t how_many() {
  constexpr std::size_t kOthers = 200;  // the loops' own descriptors and those that were there before
  const std::size_t wanted = kSanitized ? 1'000 : 10'000;
  const std::size_t limit = raise_descriptor_limit();
  if (limit >= wanted + kOthers) return wanted;
  std::cout << "only " << limit << " descriptors may be open (ulimit -Hn): fewer connections than " << wanted << "\n";
  return limit - kOthers;
}

struct Setup {
  std::string name;
  std::string scheme;
  std::string options;
};

class TenThousandTest : public ServerTest, public testing::WithParamInterface<Setup> {
 protected:
  std::string address() {
    const std::string scheme = GetParam().scheme + "://";
    return scheme + (scheme.starts_with("unix") ? path("s") : "127.0.0.1:0") + GetParam().options;
  }

  // Handlers that echo and count. relaxed: plain counts, looked at when nothing moves any more.
  Events counting() {
    Events handlers;
    handlers.num_loops = kLoops;
    handlers.load_balance = LoadBalance::RoundRobin;
    handlers.data = echo;
    handlers.opened = [this](Conn& conn, Output&, Options&) {
      const int now = open_.fetch_add(1, std::memory_order_relaxed) + 1;
      for (int most = most_; now > most && !most_.compare_exchange_weak(most, now);) {
      }
      ++on_loop_.at(static_cast<std::size_t>(conn.loop_index()));
      return Action::None;
    };
    handlers.closed = [this](Conn&, const Error& err) {
      EXPECT_FALSE(err) << err.message();
      open_.fetch_sub(1, std::memory_order_relaxed);
      closed_.add();
      return Action::None;
    };
    return handlers;
  }

  std::atomic<int> open_{0};
  std::atomic<int> most_{0};
  std::array<std::atomic<int>, kLoops> on_loop_{};
  Counter closed_;
};

struct SetupName {
  std::string operator()(const testing::TestParamInfo<Setup>& info) const { return info.param.name; }
};

INSTANTIATE_TEST_SUITE_P(, TenThousandTest,
                         testing::Values(Setup{"tcp", "tcp", ""}, Setup{"tcp_reuseport", "tcp", "?reuseport=true"},
                                         Setup{"unix", "unix", ""}, Setup{"tcp_portable", "tcp-net", ""}),
                         SetupName());

TEST_P(TenThousandTest, ConnectionsGetEveryByteBack) {
  const std::size_t count = how_many();
  TestServer server(counting(), address());
  const Baseline before;
  const pid_t crowd = start_crowd(server.addr(), {.clients = count, .bytes = kBytes});
  ASSERT_GT(crowd, 0);
  EXPECT_TRUE(crowd_succeeded(crowd));
  EXPECT_TRUE(closed_.wait_for(count)) << closed_.value() << " of " << count << " were opened and closed";
  EXPECT_EQ(static_cast<std::size_t>(most_), count) << "not all of them were open at once";
  for (const auto& on_this : on_loop_) EXPECT_NEAR(on_this, static_cast<double>(count) / kLoops, 1);
  EXPECT_TRUE(eventually([&] { return before.new_descriptors().empty(); })) << before.difference();
}

}  // namespace
}  // namespace evio::test

// In gtest's place: the program is started a second time to be the crowd.
int main(int argc, char** argv) {
  if (const int result = evio::test::run_crowd(argc, argv); result >= 0) return result;
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
