// A thread's floods of short texts: internal/stream/recent_sends.hpp.
#include "internal/stream/recent_sends.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/fault/failing_memory.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::internal {
namespace {

class RecentSendsTest : public testing::Test {
 protected:
  using Added = Requests::Added;

  Added send(std::string_view text) { return RecentSends::send(requests_, text, pool_); }
  // The texts of what the loop takes, each in brackets; "|" is where data is called for a wake.
  std::string look() {
    std::string text;
    Requests::Taken taken = requests_.take();
    BlockPool::Returned returned(pool_);
    for (; !taken.list.empty(); taken.list.pop()->recycle(returned)) {
      const Request& request = taken.list.front();
      text += request.after_wake ? "|[" : "[";
      text += std::string(request.text()) + "]";
    }
    return text;
  }

  test::Watchdog watchdog_{"RecentSendsTest", test::kWatchdogLimit};
  BlockPool pool_;
  Requests requests_;
};

TEST_F(RecentSendsTest, ShareARequestWhileTheLoopDoesNotLook) {
  EXPECT_EQ(send("1"), Added::kMustPost);
  EXPECT_EQ(send("2"), Added::kQueued) << "is the first of those that share one";
  EXPECT_EQ(send("3"), Added::kQueued);
  EXPECT_EQ(send("4"), Added::kQueued);
  EXPECT_EQ(look(), "[1][234]");
  EXPECT_EQ(send("5"), Added::kMustPost) << "the loop has looked: it must be told";
  EXPECT_EQ(look(), "[5]");
}

TEST_F(RecentSendsTest, FillARequestAndBeginAnother) {
  std::string all;
  for (int i = 0; i < 1000; ++i) {
    const std::string text = std::to_string(i) + ' ';
    all += text;
    EXPECT_NE(send(text), Added::kRefused);
  }
  std::string taken = look();
  const auto requests = std::count(taken.begin(), taken.end(), '[');
  std::erase_if(taken, [](char c) { return c == '[' || c == ']'; });
  EXPECT_EQ(taken, all);
  EXPECT_LT(requests, 50) << "a thousand texts of four bytes";
}

TEST_F(RecentSendsTest, AddNothingToWhatTheLoopHasTaken) {
  send("1");
  send("2");
  Requests::Taken taken = requests_.take();
  EXPECT_EQ(send("3"), Added::kMustPost);
  BlockPool::Returned returned(pool_);
  std::string before;
  for (; !taken.list.empty(); taken.list.pop()->recycle(returned)) before += taken.list.front().text();
  EXPECT_EQ(before, "12");
  EXPECT_EQ(look(), "[3]");
}

TEST_F(RecentSendsTest, KeepTheirPlaceAmongWhatOthersAsk) {
  send("1");
  send("2");
  EXPECT_EQ(requests_.send(Request::copy("other", pool_)), Added::kQueued);
  send("3");
  send("4");
  EXPECT_EQ(requests_.wake(), Added::kQueued);
  send("5");
  send("6");
  EXPECT_EQ(look(), "[1][2][other][3][4]|[5][6]");
}

TEST_F(RecentSendsTest, AreRefusedOnceOutputHasEnded) {
  send("1");
  send("2");
  EXPECT_EQ(requests_.end_output(Request::make(Request::EndOutput(), pool_)), Added::kQueued);
  EXPECT_EQ(send("3"), Added::kRefused);
  requests_.take_requests().recycle(pool_);
  EXPECT_EQ(send("4"), Added::kRefused);
}

TEST_F(RecentSendsTest, AreRefusedOnceClosed) {
  send("1");
  send("2");
  EXPECT_EQ(requests_.close(), Added::kQueued);
  EXPECT_EQ(send("3"), Added::kRefused);
  EXPECT_EQ(look(), "[1][2]");
  EXPECT_EQ(send("4"), Added::kRefused);
}

TEST_F(RecentSendsTest, AreRefusedWithoutMemoryAndLoseNothing) {
  const std::string half(Request::kMostWithRoom, 'x');
  send("1");
  send(half);
  send(half);
  test::may_fail = true;
  test::fail_allocations(0);
  const Added refused = send(half);
  test::may_fail = false;
  EXPECT_EQ(test::fail_no_more(), 1) << "there is no room left in the last one";
  EXPECT_EQ(refused, Added::kRefused);
  EXPECT_EQ(send("2"), Added::kQueued);
  EXPECT_EQ(look(), "[1][" + half + half + "][2]");
}

TEST_F(RecentSendsTest, OfSeveralConnectionsDoNotMix) {
  std::array<Requests, 100> others;
  for (int round = 0; round < 5; ++round) {
    for (Requests& to : others) EXPECT_NE(RecentSends::send(to, std::to_string(round), pool_), Added::kRefused);
  }
  for (Requests& to : others) {
    RequestList list = to.take_requests();
    std::string text;
    BlockPool::Returned returned(pool_);
    for (; !list.empty(); list.pop()->recycle(returned)) text += list.front().text();
    EXPECT_EQ(text, "01234");
  }
}

// LeakSanitizer counts what neither of both has freed, AddressSanitizer what both have.
TEST_F(RecentSendsTest, AreFreedByWhoIsDoneLast) {
  const auto flood = [this] {
    for (int i = 0; i < 100; ++i) EXPECT_NE(send("a text"), Added::kRefused);
  };
  std::thread(flood).join();
  look();  // the thread has ended before
  std::thread([&] {
    flood();
    look();  // it ends after
    flood();
    requests_.take_requests();  // what nobody reads is ended, too
  }).join();
  std::thread(flood).join();  // and what nobody takes
}

// Whatever the loop sees of a request that grows, it has all of it in the end, each thread's in order, and hears of it.
TEST_F(RecentSendsTest, LoseNothingOfManyThreadsAndKeepTheOrderOfEach) {
  constexpr std::size_t kThreads = 3;
  constexpr std::uint32_t kEach = test::kSanitized ? 5'000 : 100'000;
  std::atomic<int> notes{0};
  std::atomic<std::size_t> running{kThreads};
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint32_t i = 0; i < kEach; ++i) {
        const std::array<std::uint32_t, 2> content{t, i};
        if (send({reinterpret_cast<const char*>(content.data()), sizeof content}) == Added::kMustPost) ++notes;
        if (i % 64 == 0) std::this_thread::yield();  // on one processor, so that none is alone all the time
      }
      --running;
    });
  }
  std::array<std::uint32_t, kThreads> next{};
  bool in_order = true;
  for (bool done = false; !done;) {
    done = running == 0;  // before the look: what was added before the end is there
    if (notes > 0) --notes;
    Requests::Taken taken = requests_.take();
    BlockPool::Returned returned(pool_);
    for (; !taken.list.empty(); taken.list.pop()->recycle(returned)) {
      const std::string_view text = taken.list.front().text();
      for (std::size_t at = 0; at < text.size(); at += 8) {
        std::array<std::uint32_t, 2> content{};
        std::memcpy(content.data(), text.data() + at, sizeof content);
        in_order = in_order && content[1] == next.at(content[0])++;
      }
    }
    done = done && notes == 0;
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(in_order);
  for (const std::uint32_t count : next) EXPECT_EQ(count, kEach);
}

}  // namespace
}  // namespace evio::internal
