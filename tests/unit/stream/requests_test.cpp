// What other threads ask of a connection: internal/requests.hpp.
#include "internal/stream/requests.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::internal {
namespace {

class RequestsTest : public testing::Test {
 protected:
  using Added = Requests::Added;

  Added send(std::string_view text) { return requests_.send(Request::copy(text, pool_)); }
  std::string joined(RequestList list) {
    std::string text;
    BlockPool::Returned returned(pool_);
    for (; !list.empty(); list.pop()->recycle(returned)) {
      const Request& request = list.front();
      text += request.after_wake ? "|" : "";
      text += request.text();
    }
    return text;
  }
  // What the loop comes to do, in order: texts as they are, "|" before what was sent after a wake, "!" for data called
  // behind all.
  std::string take() {
    Requests::Taken taken = requests_.take();
    std::string done = joined(std::move(taken.list));
    if (taken.woken && done.find('|') == std::string::npos) done += '!';
    return done;
  }

  test::Watchdog watchdog_{"RequestsTest", test::kWatchdogLimit};
  BlockPool pool_;
  Requests requests_;
};

TEST_F(RequestsTest, AskForOneNoteUntilTheLoopHasLooked) {
  EXPECT_EQ(send("one "), Added::kMustPost);
  EXPECT_EQ(send("two "), Added::kQueued);
  EXPECT_EQ(requests_.wake(), Added::kQueued);
  EXPECT_EQ(requests_.wake(), Added::kQueued);
  EXPECT_TRUE(requests_.has_requests());
  EXPECT_EQ(take(), "one two !");
  EXPECT_FALSE(requests_.has_requests());
  EXPECT_EQ(send("three"), Added::kMustPost);
  EXPECT_EQ(take(), "three");
  EXPECT_EQ(take(), "");
  EXPECT_EQ(requests_.wake(), Added::kMustPost);
  EXPECT_EQ(take(), "!");
}

TEST_F(RequestsTest, SayWhatWasSentAfterAWake) {
  EXPECT_EQ(requests_.wake(), Added::kMustPost);
  EXPECT_EQ(send("a"), Added::kQueued);
  EXPECT_EQ(take(), "|a");
  EXPECT_EQ(send("a"), Added::kMustPost);
  EXPECT_EQ(requests_.wake(), Added::kQueued);
  EXPECT_EQ(send("b"), Added::kQueued);
  EXPECT_EQ(requests_.wake(), Added::kQueued);
  EXPECT_EQ(send("c"), Added::kQueued);
  EXPECT_EQ(take(), "a|bc") << "a wake that waits will do for a second one";
}

TEST_F(RequestsTest, GiveTheOutputAloneAndKeepTheWakeAndItsPlace) {
  EXPECT_TRUE(requests_.take_requests().empty());
  EXPECT_EQ(send("a"), Added::kMustPost);
  EXPECT_EQ(requests_.wake(), Added::kQueued);
  EXPECT_EQ(send("b"), Added::kQueued);
  EXPECT_EQ(joined(requests_.take_requests()), "a|b");
  EXPECT_FALSE(requests_.has_requests());
  EXPECT_EQ(send("c"), Added::kQueued) << "the note is still under way";
  EXPECT_EQ(take(), "|c");
}

TEST_F(RequestsTest, RefuseEverythingOnceClosedAndKeepWhatTheyHave) {
  EXPECT_EQ(send("before"), Added::kMustPost);
  EXPECT_EQ(requests_.wake(), Added::kQueued);
  EXPECT_EQ(requests_.close(), Added::kQueued);
  EXPECT_TRUE(requests_.closed());
  EXPECT_EQ(requests_.close(), Added::kRefused);
  EXPECT_EQ(send("after"), Added::kRefused);
  EXPECT_EQ(requests_.wake(), Added::kRefused);
  EXPECT_EQ(take(), "before");
  EXPECT_TRUE(requests_.take_wake()) << "it is for the loop to say whether it counts still";
  EXPECT_FALSE(requests_.take_wake());
}

TEST_F(RequestsTest, ShareBytes) {
  const Bytes bytes(std::string(100, 'x'));
  EXPECT_EQ(requests_.send(Request::share(Bytes(bytes), pool_)), Added::kMustPost);
  RequestList list = requests_.take_requests();
  EXPECT_EQ(list.front().text().data(), bytes.data());
}

TEST_F(RequestsTest, ThatNobodyTookAreFreed) {
  // LeakSanitizer counts them.
  EXPECT_EQ(send("left"), Added::kMustPost);
  EXPECT_EQ(send("there"), Added::kQueued);
}

// Whatever any of them does, the loop ends up with all of it, each thread's in order, and hears of it by a note.
TEST_F(RequestsTest, LoseNothingOfManyThreadsAndKeepTheOrderOfEach) {
  constexpr std::size_t kThreads = 4;
  constexpr std::uint32_t kEach = test::kSanitized ? 2'000 : 20'000;
  std::atomic<int> notes{0};
  std::atomic<std::size_t> running{kThreads};
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint32_t i = 0; i < kEach; ++i) {
        const std::array<std::uint32_t, 2> content{t, i};
        if (send({reinterpret_cast<const char*>(content.data()), sizeof content}) == Added::kMustPost) ++notes;
        if (i % 8 == 0 && requests_.wake() == Added::kMustPost) ++notes;
      }
      --running;
    });
  }
  std::array<std::uint32_t, kThreads> next{};
  std::size_t wakes = 0;
  bool in_order = true;
  for (bool done = false; !done;) {
    done = running == 0;  // before the look: what was added before the end is there
    if (notes == 0) {
      std::this_thread::yield();
      continue;
    }
    --notes;
    Requests::Taken taken = requests_.take();
    BlockPool::Returned returned(pool_);
    for (; !taken.list.empty(); taken.list.pop()->recycle(returned)) {
      std::array<std::uint32_t, 2> content{};
      std::memcpy(content.data(), taken.list.front().text().data(), sizeof content);
      in_order = in_order && content[1] == next.at(content[0])++;
    }
    wakes += taken.woken ? 1 : 0;
    done = done && notes == 0;
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(in_order);
  for (const std::uint32_t count : next) EXPECT_EQ(count, kEach);
  EXPECT_GT(wakes, 0u);
  EXPECT_FALSE(requests_.has_requests());
  EXPECT_FALSE(requests_.take_wake());
}

}  // namespace
}  // namespace evio::internal
