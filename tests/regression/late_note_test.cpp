// A note posted while the loop is between emptying its queue and going to sleep: nothing else ever wakes the loop here,
// so one that is missed is missed for ever.
#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/enough.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

// A thread sanitizer makes each of these twenty times as expensive.
constexpr std::uint64_t kScale = kSanitized ? 20 : 1;

/// A connection, what its wakes have to say and what of that was heard.
struct Line {
  Conn conn;
  std::atomic<std::uint64_t> said{0};
  std::atomic<std::uint64_t> heard{0};

  // False when it was not heard for as long as a test is patient.
  bool wait_until_heard(std::uint64_t what) const {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (heard.load(std::memory_order_acquire) < what) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
};

class LateNoteRegressionTest : public ModeTest {
 protected:
  static constexpr std::size_t kLines = 4;

  void SetUp() override {
    ModeTest::SetUp();
    Events handlers = events();
    handlers.load_balance = LoadBalance::RoundRobin;
    handlers.opened = [this](Conn& conn, Output&, Options&) {
      Line& line = lines_[opened_.value()];
      line.conn = conn;
      conn.set_context(&line);
      opened_.add();
      return Action::None;
    };
    handlers.data = [](Conn& conn, const Bytes&, Output&) {
      Line& line = **conn.context<Line*>();
      line.heard.store(line.said.load(std::memory_order_acquire), std::memory_order_release);
      return Action::None;
    };
    server_ = std::make_unique<TestServer>(handlers, address());
    for (std::size_t i = 0; i < kLines; ++i) {
      clients_.push_back(server_->connect());
      ASSERT_TRUE(opened_.wait_for(i + 1));
    }
  }
  void TearDown() override {
    server_.reset();
    clients_.clear();
    ModeTest::TearDown();
  }

  // One thread for each line, at once.
  template <class Work>
  void on_every_line(Work work) {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < kLines; ++i) {
      threads.emplace_back([this, work, i] { work(lines_[i], clients_[i], static_cast<unsigned>(i)); });
    }
    for (std::thread& thread : threads) thread.join();
  }

  std::array<Line, kLines> lines_;
  Counter opened_;
  std::unique_ptr<TestServer> server_;
  std::vector<Client> clients_;
};
EVIO_INSTANTIATE(LateNoteRegressionTest, modes_of(Network::kTcp, {1, 4}));

TEST_P(LateNoteRegressionTest, NoneOfManyWakesThatAreAnsweredOneByOneIsLate) {
  on_every_line([](Line& line, Client&, unsigned) {
    const Enough enough(50'000 / kScale);
    for (std::uint64_t i = 1; !enough.reached(i); ++i) {
      line.said.store(i, std::memory_order_release);
      line.conn.wake();
      if (!line.wait_until_heard(i)) {
        ADD_FAILURE() << "wake " << i << " was not heard";
        return;
      }
    }
  });
}

TEST_P(LateNoteRegressionTest, TheLastOfEachBurstOfWakesIsHeard) {
  on_every_line([](Line& line, Client&, unsigned seed) {
    std::minstd_rand random(seed + 1);
    const Enough enough(500'000 / kScale);
    for (std::uint64_t total = 0; !enough.reached(total);) {
      for (std::uint64_t burst = random() % 200; burst != 0; --burst) {
        line.said.store(++total, std::memory_order_release);
        line.conn.wake();
      }
      if (!line.wait_until_heard(total)) {
        ADD_FAILURE() << "the last of " << total << " wakes was not heard";
        return;
      }
    }
  });
}

TEST_P(LateNoteRegressionTest, NoneOfManySendsIsLate) {
  on_every_line([](Line& line, Client& client, unsigned seed) {
    std::minstd_rand random(seed + 1);
    const Enough enough(50'000 / kScale);
    for (std::uint64_t total = 0; !enough.reached(total);) {
      const std::size_t burst = 1 + random() % 300;  // more than a loop takes at once
      for (std::size_t i = 0; i < burst; ++i) EXPECT_TRUE(line.conn.send("12345678"));
      if (client.receive(8 * burst).size() != 8 * burst) return;  // has failed the test
      total += burst;
    }
  });
}

}  // namespace
}  // namespace evio::test
