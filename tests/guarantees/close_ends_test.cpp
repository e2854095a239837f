// Guarantee 20: every close ends, and every byte comes first.
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

constexpr auto kShort = 100ms;

class CloseEndsTest : public ModeTest {
 protected:
  CloseEndsTest() {
    handlers_ = events();
    handlers_.close_timeout = kShort;
    handlers_.opened = [this](Conn& conn, Output& out, Options& opts) {
      opts.read_while_pending = true;
      opts.write_timeout = write_timeout_;
      out = first_output_;
      const std::lock_guard lock(mutex_);
      conn_ = conn;
      return Action::None;
    };
    handlers_.closed = [this](Conn&, const Error& err) {
      const std::lock_guard lock(mutex_);
      error_ = err;
      took_ = std::chrono::steady_clock::now() - began_;
      closed_.open();
      return Action::None;
    };
  }
  Conn conn() {
    const std::lock_guard lock(mutex_);
    return conn_;
  }
  Error error() {
    const std::lock_guard lock(mutex_);
    return error_;
  }
  void begin() {
    const std::lock_guard lock(mutex_);
    began_ = std::chrono::steady_clock::now();
  }
  // A peer that takes nothing, and a close that `ask` makes begin.
  void expect_aborted(const std::string& request, const std::function<void(Client&)>& ask) {
    TestServer server(handlers_, address());
    Client client(server.addr(), kSmall);
    ASSERT_TRUE(client.has_input());
    begin();
    if (!request.empty()) client.send_all(request);
    if (ask) ask(client);
    ASSERT_TRUE(closed_.wait());
    const std::lock_guard lock(mutex_);
    EXPECT_GE(took_, kShort);
    EXPECT_LT(client.receive_all().size(), first_output_.size());
    if (mode().is_tcp()) {
      EXPECT_EQ(client.error(), std::errc::connection_reset);
    } else {
      EXPECT_TRUE(client.at_end()) << client.error().message();
    }
  }
  void expect_timed_out() {
    EXPECT_EQ(error().code(), std::errc::timed_out);
    EXPECT_NE(error().message().find(": close timeout: "), std::string::npos) << error().message();
  }

  static constexpr Client::Tuning kSmall{.receive_buffer = 65'536};
  Events handlers_;
  std::string first_output_ = pattern(8'000'000);
  std::chrono::nanoseconds write_timeout_{0};
  Gate closed_;
  std::mutex mutex_;
  Conn conn_;
  Error error_;
  std::chrono::steady_clock::time_point began_;
  std::chrono::steady_clock::duration took_{};
};
EVIO_INSTANTIATE(CloseEndsTest, with_tls(all_modes()));

// Detach is an error over TLS: TlsTest.DetachIsAnError.
class DetachEndsTest : public CloseEndsTest {};
EVIO_INSTANTIATE(DetachEndsTest, all_modes());

TEST_P(CloseEndsTest, AfterCloseOfACallback) {
  handlers_.data = [](Conn&, const Bytes&, Output&) { return Action::Close; };
  expect_aborted("x", nullptr);
  expect_timed_out();
}

TEST_P(CloseEndsTest, AfterCloseOfAnotherThread) {
  expect_aborted("", [this](Client&) { EXPECT_TRUE(conn().close()); });
  expect_timed_out();
}

TEST_P(DetachEndsTest, AfterDetach) {
  handlers_.data = [](Conn&, const Bytes&, Output&) { return Action::Detach; };
  handlers_.detached = [](Conn&, DetachedConn) -> Action {
    ADD_FAILURE() << "its output was not handed over";
    return Action::None;
  };
  expect_aborted("x", nullptr);
  expect_timed_out();
}

TEST_P(CloseEndsTest, AfterAnExceptionWithItsMessage) {
  handlers_.data = [](Conn&, const Bytes&, Output&) -> Action { throw std::runtime_error("oh no"); };
  expect_aborted("x", nullptr);
  EXPECT_EQ(error().message(), "oh no");
}

TEST_P(CloseEndsTest, AfterThePeersEnd) {
  expect_aborted("", [](Client& client) { client.shutdown_write(); });
  expect_timed_out();
}

TEST_P(CloseEndsTest, AfterAWriteTimeoutThatIsShorter) {
  handlers_.close_timeout = 1h;
  write_timeout_ = kShort;
  handlers_.data = [](Conn&, const Bytes&, Output&) { return Action::Close; };
  handlers_.timeout = [](Conn&, Timeout, Output&) { return Action::None; };
  expect_aborted("x", nullptr);
  expect_timed_out();
}

TEST_P(CloseEndsTest, ZeroIsNever) {
  handlers_.close_timeout = 0s;
  handlers_.data = [](Conn&, const Bytes&, Output&) { return Action::Close; };
  TestServer server(handlers_, address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(client.has_input());
  client.send_all("x");
  EXPECT_TRUE(all_sleep());
  EXPECT_FALSE(closed_.is_open());
  EXPECT_TRUE(client.receive_all() == first_output_);
  EXPECT_TRUE(closed_.wait());
  EXPECT_FALSE(error());
}

// Nobody spins: the peer has its second in which to end its side.
TEST_P(CloseEndsTest, TheLongestIsAsGoodAsNever) {
  handlers_.close_timeout = std::chrono::nanoseconds::max();
  handlers_.opened = [](Conn&, Output& out, Options&) {
    out = "bye";
    return Action::Close;
  };
  TestServer server(handlers_, address());
  Client client = server.connect();
  EXPECT_EQ(client.receive_all(), "bye");
  EXPECT_TRUE(all_sleep());
}

// It blocks in its write, and the server would block in its own.
TEST_P(CloseEndsTest, APeerThatWritesAllBeforeItReadsGetsEverything) {
  handlers_.close_timeout = 60s;
  handlers_.data = [](Conn&, const Bytes&, Output&) { return Action::Close; };
  TestServer server(handlers_, address());
  Client client(server.addr(), kSmall);
  const std::string request = repeated("request", 16'000'000);
  EXPECT_TRUE(client.send_all(request));
  EXPECT_TRUE(client.receive_all() == first_output_);
  EXPECT_TRUE(client.at_end()) << client.error().message();
  EXPECT_TRUE(closed_.wait());
  EXPECT_FALSE(error()) << error().message();
}

TEST_P(CloseEndsTest, ADrainDiscardsTheInputOfAPeerThatWritesAllBeforeItReads) {
  handlers_.drain_timeout = 1h;
  handlers_.close_timeout = 60s;
  Gate heard;
  handlers_.data = [&](Conn&, const Bytes&, Output&) {
    heard.open();
    return Action::None;
  };
  TestServer server(handlers_, address());
  Client client(server.addr(), kSmall);
  client.send_all("x");
  ASSERT_TRUE(heard.wait());
  server.shutdown();
  EXPECT_TRUE(client.send_all(repeated("request", 16'000'000)));
  EXPECT_TRUE(client.receive_all() == first_output_);
  EXPECT_FALSE(server.wait());
}

TEST_P(CloseEndsTest, ADrainEndsWithItsLastConnection) {
  handlers_.drain_timeout = 1h;
  handlers_.data = [](Conn&, const Bytes&, Output&) { return Action::Close; };
  TestServer server(handlers_, address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(client.has_input());
  server.shutdown();
  EXPECT_FALSE(server.wait());
  expect_timed_out();
}

class LingerEndsTest : public CloseEndsTest {};
EVIO_INSTANTIATE(LingerEndsTest, modes_of(Network::kTcp));

// The kernel has taken all of it, and its peer takes no more.
TEST_P(LingerEndsTest, WhoAcknowledgesNothingIsResetSilently) {
  first_output_.clear();
  handlers_.data = [](Conn& conn, const Bytes&, Output& out) {
    const int room = 200'000;
    EXPECT_EQ(::setsockopt(conn.native_handle(), SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
    out = pattern(100'000);
    return Action::Close;
  };
  TestServer server(handlers_, address());
  Client client(server.addr(), {.receive_buffer = 4'096});
  client.send_all("x");
  ASSERT_TRUE(closed_.wait());
  ASSERT_FALSE(error()) << "the kernel takes it whole: " << error().message();
  pollfd gone{client.fd(), 0, 0};
  EXPECT_EQ(::poll(&gone, 1, static_cast<int>(kPatience.count())), 1);
  client.receive_all();
  EXPECT_EQ(client.error(), std::errc::connection_reset);
  EXPECT_EQ(server.handle().stats().aborted, 1u);
  EXPECT_EQ(server.handle().stats().closed, 1u);
}

}  // namespace
}  // namespace evio::test
