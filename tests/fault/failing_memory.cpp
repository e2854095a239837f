#include "tests/fault/failing_memory.hpp"

#include <atomic>

#include "tests/support/allocation_hook.hpp"

namespace evio::test {
namespace {

std::atomic<int> before{0};
std::atomic<int> failures{0};
std::atomic<int> failed{0};

}  // namespace

bool allocation_fails() {
  if (!may_fail || failures == 0 || before.fetch_sub(1) > 0) return false;
  int left = failures;
  while (left > 0 && !failures.compare_exchange_weak(left, left - 1)) {
  }
  if (left > 0) ++failed;
  return left > 0;
}

void fail_allocations(int after, int count) {
  failed = 0;
  before = after;
  failures = count;
}

int fail_no_more() {
  failures = 0;
  return failed;
}

int failed_allocations() { return failed; }
bool some_are_to_fail() { return failures != 0; }

}  // namespace evio::test
