// Guarantee 23 where a system call of a dial fails: whichever it is, it is opened or unreachable, and nothing is left.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "tests/fault/inject.hpp"
#include "tests/support/datagram_peer.hpp"
#include "tests/support/dial_fixture.hpp"
#include "tests/support/quiet_listener.hpp"
#include "tests/support/tls_peer.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

class DialFailureTest : public DialTest {
 protected:
  void serve() {
    Events handlers = DialTest::handlers();
    handlers.opened = [this](Conn& conn, Output&, Options&) {
      EXPECT_EQ(conn.tls() != nullptr, mode().is_tls());
      log_.add("opened");
      ended_.add();
      return Action::None;
    };
    handlers.unreachable = [this](Conn&, const Error& err) {
      EXPECT_FALSE(err.message().empty());
      log_.add("unreachable");
      ended_.add();
    };
    DialTest::serve(handlers);
  }
  bool is_idle() {
    return eventually([&] { return server().stats().connections == 0; });
  }

  /// Dials again and again while the n-th of these calls fails, until a dial makes fewer than that. Returns how many
  /// were made.
  int fail_each(Call call, int err, const std::string& address, const Dial& how) {
    for (int n = 0;; ++n) {
      SCOPED_TRACE(std::string(name_of(call)) + ", number " + std::to_string(n));
      std::atomic<int> left{n};
      {
        const Injection injection([&](Invocation& made) { return made.call == call && left-- == 0 ? err : 0; });
        const Conn conn = server().dial(address, how);
        if (!ended_.wait_for(++dials_)) {
          ADD_FAILURE() << "neither opened nor unreachable";
          return n;
        }
        conn.close();
        EXPECT_TRUE(is_idle());
      }
      EXPECT_EQ(ended_.value(), dials_) << "told twice";
      if (left >= 0) return n;
    }
  }

  struct Failure {
    Call call;
    int err;
    std::string words;
  };
  void expect_named(const std::string& address, const Dial& how, const std::vector<Failure>& failures) {
    DialTest::serve();
    std::size_t n = 0;
    for (const Failure& failure : failures) {
      const Injection injection([&](Invocation& made) {
        return made.call == failure.call && (made.fd < 0 || is_socket(made.fd)) ? failure.err : 0;
      });
      server().dial(address, how);
      ASSERT_TRUE(log_.wait_for("unreachable", ++n));
      EXPECT_EQ(unreachable().message(), "dial " + address + ": " + failure.words);
    }
  }

  Counter ended_;
  std::size_t dials_ = 0;
};
EVIO_INSTANTIATE(DialFailureTest, modes_of(Network::kTcp));

class TlsDialFailureTest : public DialFailureTest {
 protected:
  void SetUp() override {
    DialFailureTest::SetUp();
    peer_ = std::make_unique<TlsPeer>([](int fd) {
      const Spared own;
      serve_tls(fd);
    });
  }
  void TearDown() override {
    server_.reset();  // the peer waits for the end of what it has dialed
    peer_.reset();
    DialFailureTest::TearDown();
  }
  std::string there() const { return dial_address(peer_->port()); }

  std::unique_ptr<TlsPeer> peer_;
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(TlsDialFailureTest);  // without evio::tls
EVIO_INSTANTIATE(TlsDialFailureTest, with_tls({}));

TEST_P(TlsDialFailureTest, OfAnyCallIsToldOnceAndLeavesNothing) {
  serve();
  int made = 0;
  for (const auto& [call, err] : std::vector<std::pair<Call, int>>{{Call::kSocket, EMFILE},
                                                                   {Call::kConnect, EADDRNOTAVAIL},
                                                                   {Call::kEpollCtl, ENOSPC},
                                                                   {Call::kGetsockopt, ENOBUFS},
                                                                   {Call::kSetsockopt, ENOMEM},
                                                                   {Call::kGetsockname, ENOBUFS},
                                                                   {Call::kRead, ECONNRESET},
                                                                   {Call::kRead, EINTR},
                                                                   {Call::kRead, EAGAIN},
                                                                   {Call::kSend, EPIPE},
                                                                   {Call::kSend, EINTR},
                                                                   {Call::kSend, EAGAIN}})
    made += fail_each(call, err, there(), dial_how({.timeout = 0ns}));
  EXPECT_GE(made, 12) << "otherwise nothing was tried";
  const std::size_t opened = log_.count("opened");
  server().dial(there(), dial_how());
  EXPECT_TRUE(log_.wait_for("opened", opened + 1));
}

TEST_P(TlsDialFailureTest, NamesTheCall) {
  expect_named(there(), dial_how(),
               {{Call::kSocket, ENOBUFS, "socket: No buffer space available"},
                {Call::kConnect, EADDRNOTAVAIL, "connect: Cannot assign requested address"},
                {Call::kSend, ENOBUFS, "handshake: No buffer space available"},
                {Call::kRead, ETIMEDOUT, "handshake: Connection timed out"}});
}

TEST_P(DialFailureTest, OfAnyCallIsToldOnceAndLeavesNothing) {
  serve();
  const QuietListener tcp;
  const QuietListener unix_path(path("quiet"), 4096);
  const DatagramPeer udp;
  const Dial plain;
  const Dial local{.local = "127.0.0.1"};
  int made = 0;
  for (const auto& [call, err] : std::vector<std::pair<Call, int>>{{Call::kSocket, EMFILE},
                                                                   {Call::kConnect, EADDRNOTAVAIL},
                                                                   {Call::kEpollCtl, ENOSPC},
                                                                   {Call::kGetsockopt, ENOBUFS},
                                                                   {Call::kSetsockopt, ENOMEM},
                                                                   {Call::kBind, EADDRINUSE},
                                                                   {Call::kGetsockname, ENOBUFS},
                                                                   {Call::kFcntl, EMFILE}}) {
    made += fail_each(call, err, tcp.address(), plain);
    made += fail_each(call, err, tcp.address(), local);
    made += fail_each(call, err, unix_path.address(), plain);
    made += fail_each(call, err, udp.address(), plain);
    made += fail_each(call, err, udp.address(), local);
  }
  EXPECT_GE(made, 20) << "otherwise nothing was tried";
  const std::size_t opened = log_.count("opened");
  for (const std::string& address : {tcp.address(), unix_path.address(), udp.address()}) server().dial(address);
  EXPECT_TRUE(log_.wait_for("opened", opened + 3));
}

TEST_P(DialFailureTest, NamesTheCall) {
  const QuietListener tcp;
  expect_named(tcp.address(), {.local = "127.0.0.1"},
               {{Call::kSocket, ENOBUFS, "socket: No buffer space available"},
                {Call::kBind, EADDRINUSE, "bind: Address already in use"},
                {Call::kConnect, EADDRNOTAVAIL, "connect: Cannot assign requested address"}});
}

// The listener refuses it while it is being connected (RFC 9293, 3.10.7.3).
TEST_P(DialFailureTest, AResetWhileItIsConnecting) {
  DialTest::serve();
  const QuietListener tcp;
  const Injection injection(
      [&](Invocation& made) { return made.call == Call::kGetsockopt && made.operation == SO_ERROR ? ECONNRESET : 0; });
  server().dial(tcp.address());
  ASSERT_TRUE(log_.wait_for("unreachable"));
  EXPECT_EQ(unreachable().message(), "dial " + tcp.address() + ": connect: Connection reset by peer");
}

class FullBacklogTest : public DialFailureTest {};
EVIO_INSTANTIATE(FullBacklogTest, all_modes());

TEST_P(FullBacklogTest, IsTriedAgainUntilThereIsRoom) {
  serve();
  QuietListener listener(path("full"), 0);
  listener.fill();
  const Injection watch([](Invocation&) { return 0; });
  server().dial(listener.address());
  EXPECT_TRUE(eventually([&] { return watch.count(Call::kConnect) >= 5; }));
  EXPECT_EQ(ended_.value(), 0u);
  const UniqueFd accepted = listener.accept();
  EXPECT_TRUE(log_.wait_for("opened"));
}

TEST_P(FullBacklogTest, UntilTheTimeout) {
  DialTest::serve();
  QuietListener listener(path("full"), 0);
  listener.fill();
  const auto began = std::chrono::steady_clock::now();
  server().dial(listener.address(), {.timeout = 50ms});
  const Error err = unreachable();
  EXPECT_GE(std::chrono::steady_clock::now() - began, 50ms);
  EXPECT_EQ(err.code(), std::errc::timed_out);
  EXPECT_EQ(err.message(), "dial " + listener.address() + ": connect: Connection timed out");
}

TEST_P(FullBacklogTest, UntilItIsClosedOrTheServerShutsDown) {
  DialTest::serve();
  QuietListener listener(path("full"), 0);
  listener.fill();
  EXPECT_TRUE(server().dial(listener.address()).close());
  EXPECT_TRUE(log_.wait_for("unreachable"));
  server().dial(listener.address(), {.timeout = 0ns});
  server_->shutdown();
  EXPECT_FALSE(server_->wait());
  EXPECT_EQ(log_.count("unreachable"), 2u);
}

}  // namespace
}  // namespace evio::test
