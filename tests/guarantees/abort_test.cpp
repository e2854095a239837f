// abort(): a connection ends at once, whoever asks for it and whatever else goes on.
#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "tests/support/enough.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

class AbortTest : public ModeTest {
 protected:
  AbortTest() {
    handlers_ = events();
    handlers_.opened = [this](Conn& conn, Output& out, Options&) {
      out = first_output_;
      const std::lock_guard lock(mutex_);
      conns_.push_back(conn);
      opened_.add();
      return Action::None;
    };
    handlers_.closed = [this](Conn& conn, const Error& err) {
      EXPECT_FALSE(conn.abort());
      EXPECT_EQ(conn.pending(), 0u);
      const std::lock_guard lock(mutex_);
      EXPECT_TRUE(errors_.emplace(conn, err.code()).second) << "closed twice";
      closed_.add();
      return Action::None;
    };
  }
  Conn conn(std::size_t i = 0) {
    const std::lock_guard lock(mutex_);
    return conns_.at(i);
  }
  std::error_code error(const Conn& conn) {
    const std::lock_guard lock(mutex_);
    return errors_.at(conn);
  }
  void expect_aborted(const Conn& conn) { EXPECT_EQ(error(conn), std::errc::operation_canceled); }
  static void expect_cut_off(Client& client, std::size_t at_most) {
    EXPECT_LE(client.receive_all().size(), at_most);
    if (mode().is_tcp()) {
      EXPECT_EQ(client.error(), std::errc::connection_reset);
    } else {
      EXPECT_TRUE(client.at_end()) << client.error().message();
    }
  }

  static constexpr Client::Tuning kSmall{.receive_buffer = 65'536};
  Events handlers_;
  std::string first_output_;
  Counter opened_;
  Counter closed_;

 private:
  std::mutex mutex_;
  std::vector<Conn> conns_;
  std::map<Conn, std::error_code> errors_;
};
EVIO_INSTANTIATE(AbortTest, with_tls(all_modes()));

TEST_P(AbortTest, OfAnotherThreadDropsWhatIsPendingAndResets) {
  first_output_ = pattern(8'000'000);
  TestServer server(handlers_, address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(client.has_input());
  ASSERT_TRUE(opened_.wait_for(1));
  EXPECT_TRUE(conn().abort());
  ASSERT_TRUE(closed_.wait_for(1));
  expect_aborted(conn());
  expect_cut_off(client, first_output_.size() - 1);
  EXPECT_FALSE(conn().abort());
}

TEST_P(AbortTest, InItsOwnCallbackDropsTheOutput) {
  handlers_.data = [](Conn& conn, const Bytes&, Output& out) {
    EXPECT_TRUE(conn.send("dropped"));
    EXPECT_TRUE(conn.abort());
    EXPECT_FALSE(conn.send("refused"));
    out = "dropped too";
    return Action::None;
  };
  TestServer server(handlers_, address());
  Client client = server.connect();
  client.send_all("x");
  expect_cut_off(client, 0);
  ASSERT_TRUE(closed_.wait_for(1));
  expect_aborted(conn());
}

TEST_P(AbortTest, InACallbackOfAnotherConnection) {
  first_output_ = pattern(8'000'000);
  handlers_.data = [this](Conn& own, const Bytes&, Output&) {
    const Conn other = conn(0);
    EXPECT_NE(own, other);
    EXPECT_TRUE(other.abort());
    return Action::None;
  };
  TestServer server(handlers_, address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(opened_.wait_for(1));
  first_output_.clear();
  Client other = server.connect();
  other.send_all("x");
  ASSERT_TRUE(closed_.wait_for(1));
  expect_aborted(conn(0));
  expect_cut_off(client, 8'000'000 - 1);
}

TEST_P(AbortTest, EndsAConnectionThatCloses) {
  first_output_ = pattern(8'000'000);
  TestServer server(handlers_, address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(client.has_input());
  ASSERT_TRUE(opened_.wait_for(1));
  EXPECT_TRUE(conn().close());
  EXPECT_TRUE(conn().abort());
  ASSERT_TRUE(closed_.wait_for(1));
  expect_aborted(conn());
  expect_cut_off(client, first_output_.size() - 1);
}

// The peer of a unix socket sees the end, whatever it has sent.
TEST_P(AbortTest, OfAPausedConnectionWithInput) {
  handlers_.opened = [opened = std::move(handlers_.opened)](Conn& conn, Output& out, Options& opts) {
    EXPECT_TRUE(conn.pause());
    return opened(conn, out, opts);
  };
  TestServer server(handlers_, address());
  Client client = server.connect();
  client.send_all("unread");
  client.wait_for_arrival();
  ASSERT_TRUE(opened_.wait_for(1));
  EXPECT_TRUE(conn().abort());
  expect_cut_off(client, 0);
}

TEST_P(AbortTest, EndsADrain) {
  first_output_ = pattern(8'000'000);
  handlers_.drain_timeout = 1h;
  TestServer server(handlers_, address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(client.has_input());
  ASSERT_TRUE(opened_.wait_for(1));
  server.shutdown();
  EXPECT_TRUE(conn().abort());
  EXPECT_FALSE(server.wait());
  expect_aborted(conn());
}

// Who was told true finds operation_canceled, who was told false another end; and it ends once.
TEST_P(AbortTest, AgainstEverythingElse) {
  handlers_.data = echo;
  handlers_.timeout = [](Conn&, Timeout, Output&) { return Action::Close; };
  TestServer server(handlers_, address());
  const Enough enough(100, 10);
  std::size_t n = 0;
  while (!enough.reached(n)) {
    Client client = server.connect();
    ASSERT_TRUE(opened_.wait_for(n + 1));
    const Conn it = conn(n++);
    std::atomic<int> aborted{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) threads.emplace_back([&] { aborted += it.abort() ? 1 : 0; });
    threads.emplace_back([&] {
      it.send("some");
      it.post([](Conn& conn, Output& out) {
        out = "more";
        conn.wake();
        return Action::None;
      });
      it.expires_after(1us);
      it.pause();
      it.resume();
    });
    threads.emplace_back([&] {
      it.wake();
      it.close_write();
      it.close();
    });
    client.send_all("x");
    client.shutdown_write();
    for (std::thread& thread : threads) thread.join();
    client.receive_all();
    ASSERT_TRUE(closed_.wait_for(n));
    EXPECT_LE(aborted, 1);
    EXPECT_EQ(error(it) == std::errc::operation_canceled, aborted == 1) << error(it).message();
    EXPECT_FALSE(it.abort());
  }
}

}  // namespace
}  // namespace evio::test
