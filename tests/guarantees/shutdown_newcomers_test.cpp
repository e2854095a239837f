// Guarantee 12, as amended: a server that shuts down refuses newcomers at once, whatever it still has to send.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>

#include "tests/support/datagram_client.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

/// A child that has a copy of every descriptor this process has. Thread-safety: one thread.
class ForkedChild {
 public:
  ForkedChild() : pid_(::fork()) {
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) ::pause();
  }
  ~ForkedChild() {
    ::kill(pid_, SIGKILL);
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  ForkedChild(const ForkedChild&) = delete;
  ForkedChild& operator=(const ForkedChild&) = delete;

 private:
  pid_t pid_;
};

class ShutdownNewcomersTest : public ModeTest {
 protected:
  // A server with output pending that nobody reads, and for which it waits as long as a test is patient.
  void start(const std::string& address) {
    Events handlers = events();
    handlers.drain_timeout = 10 * kPatience;
    handlers.data = [](Conn&, const Bytes& in, Output& out) {
      static const std::string kMuch = pattern(16'000'000);
      out = in == "much" ? kMuch : in.str();
      return Action::None;
    };
    server_ = std::make_unique<TestServer>(handlers, address);
    slow_ = server_->connect();
    ASSERT_TRUE(slow_.send_all("much"));
    ASSERT_TRUE(slow_.has_input());
  }
  bool is_refused() const { return !Client(server_->addr(), {.may_be_refused = true}).connected(); }
  void end() {
    EXPECT_FALSE(server_->returned());
    slow_.reset();
    EXPECT_FALSE(server_->wait());
    server_.reset();
  }

  std::unique_ptr<TestServer> server_;
  Client slow_;
};

TEST_P(ShutdownNewcomersTest, AreRefusedAndAReplacementServesMeanwhile) {
  start(address());
  const std::string at = mode().is_tcp() ? mode().scheme() + "://:" + std::to_string(server_->addr().port())
                                         : mode().scheme() + "://" + server_->addr().path();
  server_->shutdown();
  ASSERT_TRUE(eventually([&] { return is_refused(); }));
  // Every loop has heard of it when the sockets are closed: then the address is free.
  std::unique_ptr<TestServer> replacement;
  Events handlers = events();
  handlers.data = echo;
  ASSERT_TRUE(eventually([&] {
    handlers.serving = [](const Server& server) {
      server.shutdown();
      return Action::None;
    };
    return !serve(handlers, at);
  }));
  handlers.serving = nullptr;
  replacement = std::make_unique<TestServer>(handlers, at);
  Client client = replacement->connect();
  ASSERT_TRUE(client.send_all("hello"));
  EXPECT_EQ(client.receive(5), "hello");
  client.close();
  replacement.reset();
  end();
}

TEST_P(ShutdownNewcomersTest, AreRefusedWhileALoopIsBusy) {
  Gate busy;
  Gate go;
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes&, Output&) {
    busy.open();
    EXPECT_TRUE(go.wait());
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(client.send_all("x"));
  ASSERT_TRUE(busy.wait());
  server.shutdown();
  if (loops() > 1) {
    EXPECT_TRUE(eventually([&] { return !Client(server.addr(), {.may_be_refused = true}).connected(); }));
  }
  go.open();
  EXPECT_FALSE(server.wait());
}

TEST_P(ShutdownNewcomersTest, AreRefusedWhereAForkedChildHasTheSocketToo) {
  if (kSanitized) GTEST_SKIP() << "a child that is forked beside threads stops in the sanitizer's own locks";
  start(address());
  {
    const ForkedChild child;
    server_->shutdown();
    EXPECT_TRUE(eventually([&] { return is_refused(); }));
    EXPECT_TRUE(all_sleep()) << "the copies of the sockets in the child are not watched any more";
  }
  end();
}

TEST_P(ShutdownNewcomersTest, AreRefusedByTheWholeGroupOfReuseport) {
  if (!mode().is_tcp()) return;
  start(address() + "?reuseport=true");
  server_->shutdown();
  // Each loop has a socket, and the kernel gives a connection to any that still listens. One refusal shows nothing: it
  // may be of a socket that was closed after the kernel had chosen it.
  EXPECT_TRUE(eventually([&] {
    for (int i = 0; i != 40; ++i) {
      if (!is_refused()) return false;
    }
    return true;
  }));
  end();
}

TEST_P(ShutdownNewcomersTest, FindNoDatagramSocketEither) {
  Events handlers = events();
  handlers.drain_timeout = 10 * kPatience;
  Conn kept;
  Gate heard;
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    static const std::string kMuch = pattern(16'000'000);
    if (conn.addr_index() == 1) {
      kept = conn;
      heard.open();
    } else if (in == "much") {
      out = kMuch;
    }
    return Action::None;
  };
  const std::string scheme = mode().poller == PollerKind::kEpoll ? "udp" : "udp-net";
  server_ = std::make_unique<TestServer>(handlers, std::vector<std::string>{address(), scheme + "://127.0.0.1:0"});
  slow_ = server_->connect();
  ASSERT_TRUE(slow_.send_all("much"));
  ASSERT_TRUE(slow_.has_input());
  const int port = server_->addr(1).port();
  {
    DatagramClient client("127.0.0.1", port);
    client.send("x");
    ASSERT_TRUE(heard.wait());
    EXPECT_TRUE(kept.send("answer"));
    EXPECT_EQ(client.receive_text(), "answer");
    server_->shutdown();
    EXPECT_TRUE(eventually([&] { return !kept.send("late"); }));
  }
  Events others;
  others.data = echo;
  TestServer replacement(others, "udp://127.0.0.1:" + std::to_string(port));
  DatagramClient client("127.0.0.1", port);
  client.send("hello");
  EXPECT_EQ(client.receive_text(), "hello");
  end();
}

EVIO_INSTANTIATE(ShutdownNewcomersTest, all_modes());

}  // namespace
}  // namespace evio::test
