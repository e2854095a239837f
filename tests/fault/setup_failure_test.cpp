// Setting up: whichever system call fails, at whichever of its turns, serve says what and where, and leaves nothing.
#include <netdb.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/fault/inject.hpp"
#include "tests/support/fixture.hpp"

namespace {

constexpr const char* kTwoAddresses = "name.with.two.addresses";

}  // namespace

// What a machine whose localhost is both 127.0.0.1 and ::1 says of it.
extern "C" {
int __real_getaddrinfo(const char* host, const char* port, const addrinfo* hints, addrinfo** found);
int __wrap_getaddrinfo(const char* host, const char* port, const addrinfo* hints, addrinfo** found) {
  if (host == nullptr || std::strcmp(host, kTwoAddresses) != 0) return __real_getaddrinfo(host, port, hints, found);
  const int err = __real_getaddrinfo("127.0.0.1", port, hints, found);
  return err != 0 ? err : __real_getaddrinfo("::1", port, hints, &(*found)->ai_next);
}
}

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
    calls.push_back(Call::kPipe2);
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

class NameWithTwoAddressesTest : public ServerTest {
 protected:
  // Serves a name with the second of its sockets, the one for ::1, failing in `call` while `times` last.
  Outcome serve_name(const std::string& port, Call call, int error, int times) {
    std::atomic<int> seen{0};
    std::atomic<int> left{times};
    Injection injection([&](Invocation& invocation) {
      if (invocation.call != call || ++seen % 2 != 0 || left <= 0) return 0;
      --left;
      return error;
    });
    Outcome outcome;
    Events events;
    events.serving = [&](const Server&) {
      outcome.served = true;
      return Action::Shutdown;
    };
    std::thread([&] {
      outcome.error = serve(std::move(events), "tcp://" + std::string(kTwoAddresses) + ":" + port);
    }).join();
    return outcome;
  }
};

// The port that was free at the first address may be somebody's at the second.
TEST_F(NameWithTwoAddressesTest, WhereAnyPortWillDoTriesAnother) {
  const Outcome outcome = serve_name("0", Call::kBind, EADDRINUSE, 3);
  EXPECT_TRUE(outcome.served) << outcome.error.message();
}

TEST_F(NameWithTwoAddressesTest, IsServedAtTheOneThereIs) {
  EXPECT_TRUE(serve_name("0", Call::kBind, EADDRNOTAVAIL, 100).served);
  EXPECT_TRUE(serve_name("0", Call::kSocket, EAFNOSUPPORT, 100).served);
}

}  // namespace
}  // namespace evio::test
