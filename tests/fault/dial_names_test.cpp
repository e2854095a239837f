// Guarantee 23: dials to names. getaddrinfo(3) is the test's own: it answers, fails or hangs as the test says.
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tests/fault/failing_memory.hpp"
#include "tests/support/datagram_peer.hpp"
#include "tests/support/dial_fixture.hpp"
#include "tests/support/process.hpp"
#include "tests/support/silent_port.hpp"

namespace {

// What a name stands for: addresses in their order, or an error, or a look-up that waits for a gate.
struct Name {
  std::vector<std::string> addresses;
  int error = 0;
  std::shared_ptr<evio::test::Gate> gate = nullptr;  // shared: a look-up may outlive its test's frame
  bool starves = false;                              // from then on there is no memory for that thread
};

std::mutex names_mutex;
std::map<std::string, Name>* names = nullptr;
std::atomic<int> look_ups{0};

bool find_name(const char* host, Name& name) {
  const std::lock_guard lock(names_mutex);
  if (names == nullptr || host == nullptr || !names->contains(host)) return false;
  name = names->at(host);
  return true;
}

}  // namespace

extern "C" {
int __real_getaddrinfo(const char* host, const char* port, const addrinfo* hints, addrinfo** found);
int __wrap_getaddrinfo(const char* host, const char* port, const addrinfo* hints, addrinfo** found) {
  Name name;
  if (!find_name(host, name)) return __real_getaddrinfo(host, port, hints, found);
  if ((hints->ai_flags & AI_NUMERICHOST) != 0) return EAI_NONAME;
  ++look_ups;
  EXPECT_EQ(hints->ai_flags & AI_ADDRCONFIG, 0);
  if (name.gate != nullptr && !name.gate->wait()) return EAI_AGAIN;
  if (name.error != 0) return name.error;
  for (addrinfo** next = found; const std::string& address : name.addresses) {
    if (const int err = __real_getaddrinfo(address.c_str(), port, hints, next); err != 0) return err;
    next = &(*next)->ai_next;
  }
  if (name.starves) {
    evio::test::may_fail = true;
    evio::test::fail_allocations(0, 1'000'000);
  }
  return 0;
}
}

namespace evio::test {
namespace {

using namespace std::chrono_literals;

// Invalid where somebody has that port.
UniqueFd listening_at(const char* ip, int port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(static_cast<std::uint16_t>(port));
  EXPECT_EQ(::inet_pton(AF_INET, ip, &at.sin_addr), 1);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)) != 0 || ::listen(fd.get(), 16) != 0)
    fd.reset();
  return fd;
}

class DialNamesTest : public DialTest {
 protected:
  void SetUp() override {
    DialTest::SetUp();
    const std::lock_guard lock(names_mutex);
    names = &names_;
    look_ups = 0;
  }
  void TearDown() override {
    target_.reset();
    DialTest::TearDown();
    fail_no_more();
    const std::lock_guard lock(names_mutex);
    names = nullptr;
  }
  void add(const std::string& name, Name what) {
    const std::lock_guard lock(names_mutex);
    names_[name] = std::move(what);
  }
  std::string at_port(const std::string& name) { return dial_address(port_, name); }
  // The certificate is not for these names.
  static Dial how(Dial with = {}) {
    with.server_name = "localhost";
    return dial_how(std::move(with));
  }

  // An echo server at one port of 127.0.0.1, for a name to lead to.
  void serve_with_target() {
    serve();
    Events echoing = events();
    echoing.data = echo;
    target_ = std::make_unique<TestServer>(echoing, mode().is_tls() ? address() : "tcp://127.0.0.1:0");
    port_ = target_->addr().port();
  }

  std::map<std::string, Name> names_;
  std::unique_ptr<TestServer> target_;
  int port_ = 0;
};
EVIO_INSTANTIATE(DialNamesTest, with_tls(all_modes()));

TEST_P(DialNamesTest, ANameIsLookedUp) {
  serve_with_target();
  add("good.test", {.addresses = {"127.0.0.1"}});
  const Conn conn = server().dial(at_port("good.test"), how());
  ASSERT_TRUE(log_.wait_for("opened"));
  EXPECT_EQ(conn.remote_addr(), target_->addr());
  add("localhost", {.addresses = {"127.0.0.1"}});  // which the certificate is for
  server().dial(dial_address(port_, "localhost"), dial_how());
  ASSERT_TRUE(log_.wait_for("opened", 2));
  server().dial(at_port("good.test"), dial_how());
  ASSERT_TRUE(log_.wait_for(mode().is_tls() ? "unreachable" : "opened", mode().is_tls() ? 1 : 3));
  EXPECT_EQ(look_ups, 3);
}

TEST_P(DialNamesTest, AnUnknownNameIsUnreachable) {
  serve_with_target();
  add("bad.test", {.addresses = {}, .error = EAI_NONAME, .gate = {}});
  server().dial(at_port("bad.test"), how());
  const Error err = unreachable();
  EXPECT_EQ(err.message(), "dial " + at_port("bad.test") + ": resolve: Name or service not known");
}

TEST_P(DialNamesTest, ANumericAddressIsNotLookedUp) {
  serve_with_target();
  server().dial(dial_address(port_), how());
  ASSERT_TRUE(log_.wait_for("opened"));
  EXPECT_EQ(look_ups, 0);
}

// The first one refuses, and the next is tried at once.
TEST_P(DialNamesTest, TheNextAddressIsTriedWhenOneHasFailed) {
  serve_with_target();
  add("two.test", {.addresses = {"127.0.0.2", "127.0.0.1"}});
  const Conn conn = server().dial(at_port("two.test"), how());
  ASSERT_TRUE(log_.wait_for("opened"));
  EXPECT_EQ(conn.remote_addr().ip(), "127.0.0.1");
}

// ::1 comes before the second IPv4 address, and leads to nobody.
TEST_P(DialNamesTest, TheFamiliesAlternate) {
  serve_with_target();
  add("mixed.test", {.addresses = {"127.0.0.2", "127.0.0.3", "::1"}});
  const Conn conn = server().dial(at_port("mixed.test"), how());
  EXPECT_EQ(unreachable().code(), std::errc::connection_refused);
  EXPECT_EQ(conn.remote_addr().ip(), "127.0.0.3");
}

TEST_P(DialNamesTest, TheLocalAddressSaysWhichFamily) {
  serve_with_target();
  add("both.test", {.addresses = {"::1", "127.0.0.1"}});
  Dial from = how();
  from.local = "127.0.0.1";
  const Conn conn = server().dial(at_port("both.test"), from);
  ASSERT_TRUE(log_.wait_for("opened"));
  EXPECT_EQ(conn.remote_addr().ip(), "127.0.0.1");
}

TEST_P(DialNamesTest, AllOfThemFailingIsToldOnceWithTheLastError) {
  serve_with_target();
  add("none.test", {.addresses = {"127.0.0.2", "127.0.0.3", "127.0.0.4"}});
  const Conn conn = server().dial(at_port("none.test"), how());
  const Error err = unreachable();
  EXPECT_EQ(err.code(), std::errc::connection_refused);
  EXPECT_EQ(conn.remote_addr().ip(), "127.0.0.4");
}

// The listener's socket is given to the server, which is not for TLS.
class DialSlowNamesTest : public DialNamesTest {};
EVIO_INSTANTIATE(DialSlowNamesTest, all_modes());

TEST_P(DialSlowNamesTest, TheNextAddressIsTriedWhenOneDoesNotAnswer) {
  serve();
  std::optional<SilentPort> silent;  // of 127.0.0.1; another server has that port of 127.0.0.2
  UniqueFd listener;
  do {  // unless that is somebody else's
    silent.emplace();
    listener = listening_at("127.0.0.2", silent->port());
  } while (!listener.valid());
  Events echoing;
  TestServer target(echoing, "fd://" + std::to_string(listener.release()));
  add("slow.test", {.addresses = {"127.0.0.1", "127.0.0.2"}});
  const auto began = std::chrono::steady_clock::now();
  const Conn conn = server().dial(dial_address(silent->port(), "slow.test"));
  ASSERT_TRUE(log_.wait_for("opened"));
  EXPECT_GE(std::chrono::steady_clock::now() - began, 250ms);
  EXPECT_EQ(conn.remote_addr(), target.addr());
}

TEST_P(DialSlowNamesTest, EarlierAttemptsGoOnAndTheLosersAreClosed) {
  serve();
  std::optional<SilentPort> first;
  std::optional<SilentPort> second;
  do {
    first.emplace();
    second.emplace("127.0.0.2", first->port());
  } while (!second->taken());
  add("slow.test", {.addresses = {"127.0.0.1", "127.0.0.2"}});
  const auto sockets = [] { return descriptors_of("socket:").size(); };
  const std::size_t before = sockets();
  const Conn conn = server().dial(dial_address(first->port(), "slow.test"), {.timeout = 0ns});
  ASSERT_TRUE(eventually([&] { return sockets() == before + 2; })) << "two attempts";
  EXPECT_EQ(conn.remote_addr().ip(), "127.0.0.2");
  first->answer();
  ASSERT_TRUE(log_.wait_for("opened"));
  EXPECT_EQ(conn.remote_addr().ip(), "127.0.0.1");
  EXPECT_TRUE(eventually([&] { return sockets() == before; }))
      << "the winner's instead of the one that answer() closes";
}

TEST_P(DialNamesTest, AHangingLookUpHoldsUpNoOtherAndNoShutdown) {
  serve_with_target();
  const auto gate = std::make_shared<Gate>();
  const OpensAtEnd opens(*gate);
  for (int i = 0; i != 5; ++i) add("hang" + std::to_string(i) + ".test", {.addresses = {"127.0.0.1"}, .gate = gate});
  add("good.test", {.addresses = {"127.0.0.1"}});
  const Stopwatch took;
  for (int i = 0; i != 5; ++i) {
    for (int n = 0; n != 20; ++n) server().dial(at_port("hang" + std::to_string(i) + ".test"), how({.timeout = 0ns}));
  }
  server().dial(at_port("good.test"), how());
  ASSERT_TRUE(log_.wait_for("opened"));
  EXPECT_LE(look_ups, 6 + 5 * took.milliseconds() / 2000) << "those that ask for one name share a look-up";
  server_->shutdown();
  EXPECT_FALSE(server_->wait());
  EXPECT_EQ(log_.count("unreachable"), 100u);
}

// As many as there may be threads. What waits for one, and is not wanted any more, is not begun.
TEST_P(DialNamesTest, ManyHangingLookUpsHoldUpNoOther) {
  constexpr int kMost = 256;
  serve_with_target();
  const auto gate = std::make_shared<Gate>();
  const OpensAtEnd opens(*gate);
  const auto hang = [&](const std::string& name) {
    add(name, {.addresses = {"127.0.0.1"}, .gate = gate});
    return server().dial(at_port(name), how({.timeout = 0ns}));
  };
  add("good.test", {.addresses = {"127.0.0.1"}});
  for (int i = 1; i != kMost; ++i) hang("hang" + std::to_string(i) + ".test");
  server().dial(at_port("good.test"), how());
  ASSERT_TRUE(log_.wait_for("opened"));
  hang("last.test");
  EXPECT_TRUE(eventually([] { return look_ups == kMost + 1; }));
  EXPECT_TRUE(hang("unwanted.test").close());
  EXPECT_EQ(unreachable().code(), std::errc::operation_canceled);
  gate->open();
  ASSERT_TRUE(log_.wait_for("opened", kMost + 1));
  server().dial(at_port("good.test"), how());
  ASSERT_TRUE(log_.wait_for("opened", kMost + 2));
  EXPECT_EQ(look_ups, kMost + 2);
}

TEST_P(DialNamesTest, ANameIsLookedUpAnewOnceNobodyWaitsForALookUpThatHangs) {
  serve_with_target();
  const auto gate = std::make_shared<Gate>();
  const OpensAtEnd opens(*gate);
  add("lame.test", {.addresses = {"127.0.0.1"}, .gate = gate});
  const Conn closed = server().dial(at_port("lame.test"), how({.timeout = 0ns}));
  EXPECT_TRUE(eventually([] { return look_ups == 1; }));
  server().dial(at_port("lame.test"), how({.timeout = 20ms}));
  EXPECT_EQ(unreachable().code(), std::errc::timed_out);
  EXPECT_TRUE(closed.close());
  ASSERT_TRUE(log_.wait_for("unreachable", 2));
  add("lame.test", {.addresses = {"127.0.0.1"}});
  server().dial(at_port("lame.test"), how());
  ASSERT_TRUE(log_.wait_for("opened"));
  EXPECT_GE(look_ups, 2);
  gate->open();
}

// Somebody waits for the one that hangs all the time.
TEST_P(DialNamesTest, ALookUpThatHangsIsSharedForAWhileOnly) {
  serve_with_target();
  const auto gate = std::make_shared<Gate>();
  const OpensAtEnd opens(*gate);
  add("lame.test", {.addresses = {"127.0.0.1"}, .gate = gate});
  server().dial(at_port("lame.test"), how({.timeout = 0ns}));
  EXPECT_TRUE(eventually([] { return look_ups == 1; }));
  add("lame.test", {.addresses = {"127.0.0.1"}});
  for (std::size_t n = 1; n != 1000 && log_.count("opened") == 0; ++n) {
    server().dial(at_port("lame.test"), how({.timeout = 100ms}));
    ASSERT_TRUE(eventually([&] { return log_.count("opened") + log_.count("unreachable") == n; }));
  }
  EXPECT_EQ(log_.count("opened"), 1u);
  EXPECT_GE(look_ups, 2);
  gate->open();
  EXPECT_TRUE(log_.wait_for("opened", 2));
}

TEST_P(DialNamesTest, WithoutMemoryForItsAddressesANameIsUnreachable) {
  serve_with_target();
  add("large.test", {.addresses = {"127.0.0.1"}, .starves = true});
  server().dial(at_port("large.test"), how({.timeout = 0ns}));
  const Error err = unreachable();
  EXPECT_EQ(err.code(), std::errc::not_enough_memory) << err.message();
  EXPECT_GT(fail_no_more(), 1) << "what was found, and the note of it";
  server().dial(dial_address(port_), how());
  EXPECT_TRUE(log_.wait_for("opened"));
}

TEST_P(DialNamesTest, AHangingLookUpEndsAtItsTimeoutOrWhenItIsClosed) {
  serve_with_target();
  const auto gate = std::make_shared<Gate>();
  const OpensAtEnd opens(*gate);
  add("hang.test", {.addresses = {"127.0.0.1"}, .gate = gate});
  server().dial(at_port("hang.test"), how({.timeout = 20ms}));
  const Error err = unreachable();
  EXPECT_EQ(err.code(), std::errc::timed_out);
  EXPECT_EQ(err.message(), "dial " + at_port("hang.test") + ": resolve: Connection timed out");
  EXPECT_TRUE(server().dial(at_port("hang.test"), how()).close());
  ASSERT_TRUE(log_.wait_for("unreachable", 2));
  EXPECT_EQ(unreachable().code(), std::errc::operation_canceled);
}

// The first address that connect(2) takes: there is none here that it refuses for want of an answer.
TEST_P(DialNamesTest, ADatagramSocketIsConnectedToTheFirstThatCanBe) {
  serve();
  auto peer = std::make_unique<DatagramPeer>();
  add("udp.test", {.addresses = {"255.255.255.255", "127.0.0.1", "127.0.0.2"}});  // a broadcast: EACCES
  const std::string at = "udp://udp.test:" + std::to_string(peer->port());
  const Conn conn = server().dial(at);
  EXPECT_TRUE(conn.send("hello"));
  EXPECT_EQ(peer->receive(), "hello");
  EXPECT_EQ(conn.remote_addr().to_string(), peer->name());
  add("nowhere.test", {.addresses = {"255.255.255.255"}});
  server().dial("udp://nowhere.test:1");
  EXPECT_EQ(unreachable().message(), "dial udp://nowhere.test:1: connect: Permission denied");
}

TEST_P(DialNamesTest, ALookUpForADatagramSocketEndsAtItsTimeoutOrWhenItIsClosedOrAborted) {
  serve();
  const auto gate = std::make_shared<Gate>();
  const OpensAtEnd opens(*gate);
  add("hang.test", {.addresses = {"127.0.0.1"}, .gate = gate});
  server().dial("udp://hang.test:1", {.timeout = 20ms});
  EXPECT_EQ(unreachable().code(), std::errc::timed_out);
  EXPECT_TRUE(server().dial("udp://hang.test:1").close());
  ASSERT_TRUE(log_.wait_for("unreachable", 2));
  EXPECT_EQ(unreachable().code(), std::errc::operation_canceled);
  EXPECT_TRUE(server().dial("udp://hang.test:1").abort());
  ASSERT_TRUE(log_.wait_for("unreachable", 3));
  EXPECT_EQ(unreachable().code(), std::errc::operation_canceled);
}

TEST_P(DialNamesTest, AHangingLookUpEndsWhenItIsAborted) {
  serve();
  const auto gate = std::make_shared<Gate>();
  const OpensAtEnd opens(*gate);
  add("hang.test", {.addresses = {"127.0.0.1"}, .gate = gate});
  EXPECT_TRUE(server().dial(dial_address(1, "hang.test"), how()).abort());
  EXPECT_EQ(unreachable().code(), std::errc::operation_canceled);
}

// What it answers after the server has gone finds nobody.
TEST_P(DialNamesTest, ALookUpMayOutliveTheServer) {
  serve_with_target();
  const auto gate = std::make_shared<Gate>();
  add("hang.test", {.addresses = {"127.0.0.1"}, .gate = gate});
  server().dial(at_port("hang.test"), how());
  EXPECT_TRUE(eventually([] { return look_ups == 1; }));
  server_->shutdown();
  EXPECT_FALSE(server_->wait());
  server_.reset();
  gate->open();
}

}  // namespace
}  // namespace evio::test
