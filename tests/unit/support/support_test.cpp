// What the tests themselves rely on: what Baseline calls left behind, what counts as asleep, which modes there are.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/baseline.hpp"
#include "tests/support/datagram_fixture.hpp"
#include "tests/support/mode.hpp"
#include "tests/support/process.hpp"
#include "tests/support/sync.hpp"
#include "tests/support/unique_fd.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

TEST(BaselineTest, AFileThatGetsAnotherNameIsTheSameFile) {
  std::string name = testing::TempDir() + "evio-baseline-XXXXXX";
  const UniqueFd file(::mkstemp(name.data()));
  ASSERT_TRUE(file.valid());
  const Baseline before;
  const std::string other = name + ".renamed";
  ASSERT_EQ(std::rename(name.c_str(), other.c_str()), 0);
  EXPECT_EQ(before.difference(), "");
  ::unlink(other.c_str());
  EXPECT_EQ(before.difference(), "");
}

TEST(BaselineTest, ADescriptorThatIsLeftGoneOrAnothersIsTold) {
  UniqueFd old(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const std::string number = std::to_string(old.get());
  const Baseline before;
  {
    const UniqueFd left(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(before.difference(), "descriptor " + std::to_string(left.get()) + " is left: /dev/zero\n");
    ASSERT_EQ(::dup3(left.get(), old.get(), O_CLOEXEC), old.get());
  }
  EXPECT_EQ(before.difference(), "descriptor " + number + " is left: /dev/zero\n");
  old.reset();
  EXPECT_EQ(before.difference(), "descriptor " + number + " is gone: /dev/null\n");
}

TEST(SleepThroughTest, IsTrueOfThreadsThatSleepAndOfNoOther) {
  std::thread([] {}).join();  // the first one may bring a sanitizer's own thread with it
  const Baseline before;
  Gate over;
  std::thread sleeper([&] { EXPECT_TRUE(over.wait()); });
  const auto sleeping = before.new_threads();
  ASSERT_EQ(sleeping.size(), 1u);
  EXPECT_TRUE(eventually([&] { return sleep_through(sleeping, 10ms); }));
  {
    std::atomic<bool> stop{false};
    std::thread spinner([&] {
      while (!stop) {
      }
    });
    for (int i = 0; i < 5; ++i) EXPECT_FALSE(sleep_through(before.new_threads(), 10ms)) << "one spins";
    stop = true;
    spinner.join();
  }
  std::atomic<bool> stop{false};
  std::thread dozer([&] {
    while (!stop) std::this_thread::sleep_for(1ms);
  });
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(sleep_through(before.new_threads(), 100ms)) << "one wakes up now and then";
  stop = true;
  dozer.join();
  over.open();
  sleeper.join();
}

class ModesTest : public testing::Test {
 protected:
  ModesTest() {
    if (const char* value = std::getenv("EVIO_TEST_MODES")) before_ = value;
  }
  ~ModesTest() override {
    if (before_) choose(*before_);
  }
  static void choose(const std::string& value) { ::setenv("EVIO_TEST_MODES", value.c_str(), 1); }

  // What occurs in them, as "tcp", "1", "epoll".
  static std::set<std::string> parts(const std::vector<Mode>& modes) {
    std::set<std::string> all;
    for (const Mode& mode : modes) {
      all.insert(mode.is_tcp() ? "tcp" : "unix");
      all.insert(std::to_string(mode.loops));
      all.insert(mode.poller == PollerKind::kEpoll ? "epoll" : "portable");
    }
    return all;
  }

 private:
  std::optional<std::string> before_;
};

using Parts = std::set<std::string>;

TEST_F(ModesTest, EachPartOccursByDefault) {
  choose("");
  EXPECT_EQ(all_modes().size(), 3u);
  EXPECT_EQ(parts(all_modes()), (Parts{"tcp", "unix", "1", "4", "epoll", "portable"}));
  EXPECT_EQ(parts(modes_of({1, 4})), (Parts{"tcp", "unix", "1", "4", "epoll", "portable"}));
  EXPECT_EQ(parts(modes_of({5})), (Parts{"tcp", "unix", "5", "epoll", "portable"}));
  EXPECT_EQ(parts(modes_of({-1})), (Parts{"tcp", "unix", "-1", "epoll", "portable"}));
  EXPECT_EQ(parts(modes_of(Network::kUnix)), (Parts{"unix", "1", "4", "epoll", "portable"}));
  EXPECT_EQ(parts(modes_of(Network::kTcp, {1})), (Parts{"tcp", "1", "epoll", "portable"}));
  EXPECT_EQ(all_datagram_modes().size(), 4u);
}

TEST_F(ModesTest, MoreHasALoopForEachProcessor) {
  choose("more");
  EXPECT_EQ(all_modes().size(), 4u);
  EXPECT_EQ(parts(all_modes()), (Parts{"tcp", "unix", "1", "4", "-1", "epoll", "portable"}));
  EXPECT_EQ(parts(modes_of(Network::kTcp)), (Parts{"tcp", "1", "4", "-1", "epoll", "portable"}));
  EXPECT_EQ(parts(modes_of({1, 4})), (Parts{"tcp", "unix", "1", "4", "epoll", "portable"}));
  EXPECT_EQ(all_datagram_modes().size(), 5u);
}

TEST_F(ModesTest, AllIsEveryCombination) {
  choose("all");
  EXPECT_EQ(all_modes().size(), 12u);
  EXPECT_EQ(modes_of(Network::kTcp, {1, 4}).size(), 4u);
  EXPECT_EQ(all_datagram_modes().size(), 16u);
}

TEST_F(ModesTest, AnUnknownNameEndsTheProgram) {
  choose("every");
  EXPECT_EXIT(all_modes(), testing::ExitedWithCode(2), "EVIO_TEST_MODES is \"every\"");
}

}  // namespace
}  // namespace evio::test
