// A loop's thread cannot be started: serve says so, and those that run already end.
#include <dlfcn.h>

#include <atomic>
#include <cerrno>
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
  // serve with `n` of its threads started and no more. serving is called before that and may connect.
  Error serve_with_threads(int n, Events handlers) {
    handlers.serving = [n, serving = handlers.serving](const Server& server) {
      const Action action = serving ? serving(server) : Action::None;
      threads_left = n;
      return action;
    };
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

TEST_P(ThreadCreationTest, ThoseThatCameMeanwhileAreClosedOnceForEachTimeTheyWereOpened) {
  for (int started = 0; started < loops() - 1; ++started) {
    EventLog log;
    std::vector<Client> clients;
    Events handlers = events();
    note_all(handlers, log);
    handlers.serving = [&](const Server& server) {
      for (int i = 0; i < 20; ++i) clients.emplace_back(server.addrs().at(0));
      return Action::None;
    };
    EXPECT_TRUE(serve_with_threads(started, handlers));
    EXPECT_EQ(log.count("opened"), log.count("closed"));
    for (Client& client : clients) client.receive_all();
  }
}

}  // namespace
}  // namespace evio::test
