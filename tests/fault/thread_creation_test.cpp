// A loop's thread cannot be started: serve says so before `serving` is called, and the others end (amendment to 12).
#include <dlfcn.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace {

// How many more threads may be started before one fails; negative: all may.
std::atomic<int> threads_left{-1};

}  // namespace

// In the place of the C++ library's own, which every std::thread goes through and which throws just this.
void std::thread::_M_start_thread(_State_ptr state, void (*depend)()) {
  using Start = void (*)(std::thread*, _State_ptr, void (*)());
  static const auto real = reinterpret_cast<Start>(
      ::dlsym(RTLD_NEXT, "_ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE"));
  if (threads_left.load() >= 0 && threads_left.fetch_sub(1) == 0) {
    throw std::system_error(EAGAIN, std::generic_category(), "thread");
  }
  real(this, std::move(state), depend);
}

namespace evio::test {
namespace {

class ThreadCreationTest : public ModeTest {
 protected:
  // serve with `n` of its threads started and no more.
  Error serve_with_threads(int n, Events handlers) {
    threads_left = n;
    const Error err = serve(std::move(handlers), given_ = address());
    threads_left = -1;
    return err;
  }

  std::string given_;  // the address it was
};
EVIO_INSTANTIATE(ThreadCreationTest, modes_of({4}));

TEST_P(ThreadCreationTest, ThatFailsIsAnErrorAndLeavesNothing) {
  for (int started = 0; started < loops() - 1; ++started) {
    const Error err = serve_with_threads(started, events());
    EXPECT_EQ(err.code(), std::errc::resource_unavailable_try_again);
    const std::string beginning =
        "serve " + given_ + ": loop " + std::to_string(started + 1) + " of 4: cannot start its thread: ";
    EXPECT_TRUE(err.message().starts_with(beginning)) << err.message();
    EXPECT_NE(err.message().find("ulimit -u"), std::string::npos) << err.message();
    EXPECT_EQ(baseline().difference(), "");
  }
}

TEST_P(ThreadCreationTest, ThatFailsIsToldBeforeServingIsCalled) {
  for (int started = 0; started < loops() - 1; ++started) {
    EventLog log;
    Events handlers = events();
    note_all(handlers, log);
    handlers.serving = [&](const Server&) {
      log.add("serving");
      return Action::None;
    };
    handlers.tick = [&](std::chrono::nanoseconds&) {
      log.add("tick");
      return Action::None;
    };
    EXPECT_TRUE(serve_with_threads(started, handlers));
    EXPECT_TRUE(log.all().empty());
  }
}

TEST_P(ThreadCreationTest, WaitingThreadsEndWhenServingEndsTheServer) {
  Events handlers = events();
  handlers.serving = [](const Server&) { return Action::Shutdown; };
  EXPECT_FALSE(serve(handlers, address()));
  EXPECT_EQ(baseline().difference(), "");
  handlers.serving = [](const Server&) -> Action { throw std::runtime_error("no"); };
  EXPECT_THROW(static_cast<void>(serve(handlers, address())), std::runtime_error);
  EXPECT_EQ(baseline().difference(), "");
}

}  // namespace
}  // namespace evio::test
