// Setting up: whichever system call fails, at whichever of its turns, serve says what and where, and leaves nothing.
#include <cerrno>
#include <filesystem>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/fault/inject.hpp"
#include "tests/support/fixture.hpp"

namespace evio::test {
namespace {

struct Outcome {
  bool served = false;
  Error error;
};

class SetupFailureTest : public ServerTest, public testing::WithParamInterface<std::tuple<PollerKind, Call>> {
 protected:
  static Call call() { return std::get<Call>(GetParam()); }

  // An address of each kind, each with a socket of its own.
  std::vector<std::string> addresses() {
    const std::string net = std::get<PollerKind>(GetParam()) == PollerKind::kPortable ? "-net" : "";
    return {"tcp" + net + "://127.0.0.1:0", "unix" + net + "://" + path("s"), "udp" + net + "://127.0.0.1:0",
            "tcp" + net + "://127.0.0.1:0?reuseport=true"};
  }

  // Serves until serving. On a thread of its own, as this one's calls are spared.
  Outcome serve_once() {
    Outcome outcome;
    Events events;
    events.num_loops = 3;
    events.serving = [&](const Server&) {
      outcome.served = true;
      return Action::Shutdown;
    };
    const std::vector<std::string> addrs = addresses();
    std::thread([&] { outcome.error = serve(std::move(events), addrs); }).join();
    return outcome;
  }

  // serve with the n-th of these calls failing. True when there was an n-th.
  bool fail_nth(int n) {
    SCOPED_TRACE(std::string(name_of(call())) + " number " + std::to_string(n));
    std::atomic<int> seen{0};
    std::atomic<bool> failed{false};
    Outcome outcome;
    {
      Injection injection([&](Invocation& invocation) {
        if (invocation.call != call() || seen.fetch_add(1) + 1 != n) return 0;
        failed = true;
        return ENOMEM;
      });
      outcome = serve_once();
    }
    EXPECT_FALSE(outcome.served && outcome.error);
    EXPECT_TRUE(outcome.served || outcome.error);
    if (failed && must_fail()) expect_named(outcome);
    EXPECT_EQ(baseline().difference(), "");
    EXPECT_FALSE(std::filesystem::exists(path("s"))) << "the socket's file is left";
    std::filesystem::remove(path("s"));
    return failed;
  }

  // Options are asked for where they would be of use: most of them a server can do without.
  static bool must_fail() { return call() != Call::kSetsockopt; }

  void expect_named(const Outcome& outcome) {
    EXPECT_FALSE(outcome.served);
    EXPECT_EQ(outcome.error.code(), std::error_code(ENOMEM, std::system_category()));
    const std::string message = outcome.error.message();
    bool named = message.find(name_of(call())) != std::string::npos;
    for (const std::string& address : {path("s"), std::string("127.0.0.1:")}) {
      named = named || message.find(address) != std::string::npos;
    }
    EXPECT_TRUE(named) << "names neither the call nor an address: " << message;
  }
};

TEST_P(SetupFailureTest, IsReportedAndLeavesNothing) {
  int n = 1;
  while (fail_nth(n) && n < 100) ++n;
  EXPECT_LT(n, 100);
}

std::vector<Call> setup_calls(PollerKind poller) {
  std::vector<Call> calls{Call::kSocket, Call::kBind, Call::kListen, Call::kGetsockname, Call::kSetsockopt};
  if (poller == PollerKind::kEpoll) {
    calls.insert(calls.end(), {Call::kEpollCreate1, Call::kEpollCtl, Call::kEventfd});
  } else {
    calls.insert(calls.end(), {Call::kPipe, Call::kFcntl});
  }
  return calls;
}

std::vector<std::tuple<PollerKind, Call>> setup_cases() {
  std::vector<std::tuple<PollerKind, Call>> cases;
  for (const PollerKind poller : {PollerKind::kEpoll, PollerKind::kPortable}) {
    for (const Call call : setup_calls(poller)) cases.emplace_back(poller, call);
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(, SetupFailureTest, testing::ValuesIn(setup_cases()), [](const auto& test) {
  const bool portable = std::get<PollerKind>(test.param) == PollerKind::kPortable;
  return std::string(name_of(std::get<Call>(test.param))) + (portable ? "_portable" : "_epoll");
});

}  // namespace
}  // namespace evio::test
