// An example that runs out of memory says so and ends with 1, and its unix socket's file is gone. The program is this
// test's own, which runs an example's main with allocations that fail when it is told so by its environment.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <tuple>
#include <vector>

#include "examples/http/service.hpp"
#include "examples/redis/service.hpp"
#include "tests/support/allocation_hook.hpp"
#include "tests/support/example_program.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

#define main echo_main
#include "examples/echo.cpp"
#undef main
#define main http_main
#include "examples/http.cpp"
#undef main
#define main redis_main
#include "examples/redis.cpp"
#undef main

namespace {

// The allocations of the whole process are counted, and those from the first to the last of these fail. relaxed: each
// is counted once, which is all that matters.
std::atomic<int> allocations{0};
int first = INT_MAX;
int last = INT_MAX;

}  // namespace

bool evio::test::allocation_fails() {
  const int n = allocations.fetch_add(1, std::memory_order_relaxed);
  return n >= first && n <= last;
}

namespace evio::test {
namespace {

constexpr const char* kFirst = "EVIO_TEST_FIRST_FAILURE";
constexpr const char* kLast = "EVIO_TEST_LAST_FAILURE";
constexpr std::string_view kAllocations = "allocations: ";
constexpr int kShares = 4;  // A test is for one of them, and so takes seconds on a busy machine too.

int number(const char* variable) { return std::atoi(std::getenv(variable)); }

// The program: argv is an example's name and its flags.
int run_example(int argc, char** argv) {
  const std::string_view name = argv[1];
  const auto example = name == "echo" ? echo_main : name == "http" ? http_main : redis_main;
  first = number(kFirst);
  last = number(kLast);
  allocations = 0;
  const int status = example(argc - 1, argv + 1);
  first = INT_MAX;
  std::printf("%s%d\n", kAllocations.data(), allocations.load());
  return status;
}

using Failures = std::tuple<std::string, bool, int>;  // of which example, for good or one, which share of them

class ExampleWithoutMemory : public testing::TestWithParam<Failures> {
 protected:
  // Runs the example, whose allocations fail from the first of these to the last, until it ends by itself, or by a
  // signal once it serves. Returns how many allocations there were.
  static int allocations_with_failures(int from, int to) {
    const std::string& name = std::get<0>(GetParam());
    ::setenv(kFirst, std::to_string(from).c_str(), 1);
    ::setenv(kLast, std::to_string(to).c_str(), 1);
    std::vector<std::string> args{name, "--port=0", "--loops=2", "--stdlib"};
    if (name != "echo") args.emplace_back("--unixsocket=s");
    Program program("/proc/self/exe", args);
    const bool serves = program.writes("stdlib\n");  // the last word of its `serving`
    program.signal(SIGTERM);
    const int status = program.wait();
    const std::string& written = program.written();
    EXPECT_TRUE(status == 1 || (status == 0 && serves)) << status << ": " << written;
    EXPECT_EQ(status == 1, written.find("memory") != std::string::npos) << written;
    EXPECT_NE(::access(program.path("s").c_str(), F_OK), 0) << "the socket's file is left";
    const std::size_t count = written.rfind(kAllocations);
    return count == std::string::npos ? 0 : std::atoi(written.c_str() + count + kAllocations.size());
  }

 private:
  Watchdog watchdog_{"an example without memory", kWatchdogLimit};
};

std::string name_of(const testing::TestParamInfo<Failures>& instance) {
  const auto& [name, for_good, share] = instance.param;
  return name + (for_good ? "_for_good_" : "_once_") + std::to_string(share);
}
INSTANTIATE_TEST_SUITE_P(, ExampleWithoutMemory,
                         testing::Combine(testing::Values("echo", "http", "redis"), testing::Bool(),
                                          testing::Range(0, kSanitized ? 1 : kShares)),
                         name_of);

TEST_P(ExampleWithoutMemory, SaysSoAndEndsWithOneAndLeavesNoFile) {
  const auto [name, for_good, share] = GetParam();
  int n = share;
  for (;; n += kShares) {
    SCOPED_TRACE("allocation " + std::to_string(n));
    const int count = allocations_with_failures(n, for_good ? INT_MAX : n);
    if (count <= n || HasFailure()) break;
  }
  EXPECT_GT(n, 100) << "hardly anything was allocated";
}

}  // namespace
}  // namespace evio::test

int main(int argc, char** argv) {
  if (std::getenv(evio::test::kFirst) != nullptr) return evio::test::run_example(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
