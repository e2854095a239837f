// What the tests themselves rely on: what Baseline calls left behind, and what counts as asleep.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>

#include "tests/support/baseline.hpp"
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

}  // namespace
}  // namespace evio::test
