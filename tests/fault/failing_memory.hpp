#pragma once

#include <utility>

#include "tests/support/fixture.hpp"

namespace evio::test {

/// Whether allocations of this thread may fail. A test that uses it is linked with fault/failing_memory.cpp, and as
/// support/allocation_hook.hpp says. A plain bool, as it is read in every allocation.
inline thread_local bool may_fail = false;

/// From now on so many allocations in a row fail, of all threads that may fail, once `after` others have been made.
/// Thread-safety: any thread.
void fail_allocations(int after, int count = 1);
/// No more do. Returns how many have.
int fail_no_more();
/// How many have, and whether there are any still to fail.
int failed_allocations();
bool some_are_to_fail();

/// What a handler itself allocates is not at stake. Thread-safety: a thread's own.
class Untouched {
 public:
  Untouched() : saved_(std::exchange(may_fail, false)) {}
  ~Untouched() { may_fail = saved_; }
  Untouched(const Untouched&) = delete;
  Untouched& operator=(const Untouched&) = delete;

 private:
  bool saved_;
};

/// A test that leaves no failure behind. Thread-safety: one thread.
class FailingMemoryTest : public ModeTest {
 protected:
  void TearDown() override {
    fail_no_more();
    ModeTest::TearDown();
  }
};

}  // namespace evio::test
