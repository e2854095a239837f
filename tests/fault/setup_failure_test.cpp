// Setting up: whichever system call fails, at whichever of its turns, serve says what and where, and leaves nothing.
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/fault/inject.hpp"
#include "tests/support/fixture.hpp"

namespace {

struct Name {
  const char* name;
  const char* v4;  // both null: nobody knows it
  const char* v6;
};

// localhost is both 127.0.0.1 and ::1 on most machines, and a name may be every address of both families.
constexpr const char* kTwoAddresses = "name.with.two.addresses";
constexpr const char* kEveryAddress = "name.of.every.address";
constexpr Name kNames[] = {{kTwoAddresses, "127.0.0.1", "::1"},
                           {kEveryAddress, "0.0.0.0", "::"},
                           {"tcp", nullptr, nullptr},
                           {"udp", nullptr, nullptr}};

}  // namespace

extern "C" {
int __real_getaddrinfo(const char* host, const char* port, const addrinfo* hints, addrinfo** found);
int __wrap_getaddrinfo(const char* host, const char* port, const addrinfo* hints, addrinfo** found) {
  for (const Name& known : kNames) {
    if (host == nullptr || std::strcmp(host, known.name) != 0) continue;
    if (known.v4 == nullptr) return EAI_NONAME;
    const int err = __real_getaddrinfo(known.v4, port, hints, found);
    return err != 0 ? err : __real_getaddrinfo(known.v6, port, hints, &(*found)->ai_next);
  }
  return __real_getaddrinfo(host, port, hints, found);
}
}

namespace evio::test {
namespace {

struct Outcome {
  bool served = false;
  Addr addr;
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
    if (failed) expect_named(outcome);
    EXPECT_EQ(baseline().difference(), "");
    EXPECT_FALSE(std::filesystem::exists(path("s"))) << "the socket's file is left";
    std::filesystem::remove(path("s"));
    return failed;
  }

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
  std::vector<Call> calls{Call::kSocket,     Call::kBind, Call::kListen, Call::kGetsockname,
                          Call::kSetsockopt, Call::kOpen, Call::kFlock,  Call::kFstat};
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

// "::" alone would take 0.0.0.0 too.
TEST_F(NameWithTwoAddressesTest, ServesEveryAddressOfBothFamilies) {
  for (const char* scheme : {"tcp", "udp"}) {
    Server server;
    Events events;
    events.serving = [&](const Server& running) {
      server = running;
      return Action::Shutdown;
    };
    const Error err = serve(std::move(events), std::string(scheme) + "://" + kEveryAddress + ":0");
    EXPECT_FALSE(err) << err.message();
    EXPECT_EQ(server.addrs().size(), 1u);
  }
}

class AddressFailureTest : public ServerTest {
 protected:
  // Serves until serving, with each call that `failing` picks failing.
  static Outcome serve_with(const std::string& address, int error, const std::function<bool(Invocation&)>& failing) {
    Injection injection([&](Invocation& invocation) { return failing(invocation) ? error : 0; });
    Outcome outcome;
    Events events;
    events.num_loops = 2;
    events.serving = [&](const Server& server) {
      outcome.served = true;
      outcome.addr = server.addrs().at(0);
      return Action::Shutdown;
    };
    std::thread([&] { outcome.error = serve(std::move(events), address); }).join();
    return outcome;
  }
  static std::function<bool(Invocation&)> first_of(Call call) {
    return [call, seen = 0](Invocation& invocation) mutable { return invocation.call == call && seen++ == 0; };
  }
};

// The first socket finds out whether there is IPv6.
TEST_F(AddressFailureTest, OnlyAMissingFamilyMeansNoIpv6) {
  for (const std::string address : {"tcp://:0", "udp://:0", "tcp-net://*:0", "udp-net://:0"}) {
    for (const int error : {EAFNOSUPPORT, EPFNOSUPPORT, EPROTONOSUPPORT}) {
      const Outcome outcome = serve_with(address, error, first_of(Call::kSocket));
      EXPECT_TRUE(outcome.served) << outcome.error.message();
      EXPECT_EQ(outcome.addr.ip(), "0.0.0.0");
    }
    for (const int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM, EACCES}) {
      const Outcome outcome = serve_with(address, error, first_of(Call::kSocket));
      EXPECT_FALSE(outcome.served) << address << " at " << outcome.addr.to_string() << ", errno " << error;
      EXPECT_EQ(outcome.error.code(), std::error_code(error, std::system_category()));
      EXPECT_TRUE(outcome.error.message().starts_with("listen " + address + ": socket: ")) << outcome.error.message();
    }
  }
}

// Each of them changes what is served: which families, to whom answers seem to come from, what is read.
TEST_F(AddressFailureTest, NoOptionOfASocketFailsUnnoticed) {
  for (const std::string address : {"tcp://:0", "tcp://127.0.0.1:0?reuseport=1", "udp4://:0", "udp6://:0"}) {
    int n = 0;
    Outcome outcome;
    for (; !outcome.served && n < 100; ++n) {
      outcome = serve_with(address, ENOPROTOOPT, [n, seen = 0](Invocation& invocation) mutable {
        return invocation.call == Call::kSetsockopt && seen++ == n;
      });
      if (outcome.served) break;
      EXPECT_TRUE(outcome.error.message().starts_with("listen " + address + ": setsockopt "))
          << outcome.error.message();
    }
    EXPECT_GE(n, address.starts_with("udp4") ? 1 : 3) << address;
  }
}

// The host of "tcp:80" is called tcp.
TEST_F(AddressFailureTest, WhatCannotBeResolvedMayHaveBeenMeantOtherwise) {
  EXPECT_TRUE(serve(Events{}, "tcp:80").message().ends_with("; did you mean \"tcp://:80\"?"));
  EXPECT_TRUE(serve(Events{}, "udp:53").message().ends_with("; did you mean \"udp://:53\"?"));
}

// A flood of datagrams to a growing group is no reason not to start.
TEST_F(AddressFailureTest, AFloodDoesNotHoldUpAReuseportGroup) {
  std::atomic<int> datagrams{0};
  const UniqueFd flood(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const Outcome outcome = serve_with("udp4://127.0.0.1:0?reuseport=1", 0, [&](Invocation& invocation) {
    if (invocation.call != Call::kRead || !is_socket(invocation.fd)) return false;
    sockaddr_in to{};
    socklen_t size = sizeof(to);
    ::getsockname(invocation.fd, reinterpret_cast<sockaddr*>(&to), &size);
    ::sendto(flood.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), size);
    return datagrams.fetch_add(1) > 1'000'000;  // long past what is waited for: the test fails, and ends
  });
  EXPECT_TRUE(outcome.served) << outcome.error.message();
  EXPECT_GT(datagrams, 0);
  EXPECT_LT(datagrams, 1'000'000);
}

}  // namespace
}  // namespace evio::test
