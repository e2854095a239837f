// Guarantee 15: Detach hands the socket over after all output.
#include <fcntl.h>

#include <array>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

// Echoes until the stream ends, as a thread that owns a blocking socket does.
void talk_on(DetachedConn rwc) {
  std::array<char, 10'000> buffer;
  Error err;
  while (const std::size_t n = rwc.read(buffer, err)) {
    EXPECT_EQ(rwc.write({buffer.data(), n}, err), n);
    EXPECT_FALSE(err) << err.message();
  }
  EXPECT_FALSE(err) << err.message();
  EXPECT_FALSE(rwc.close());
}

class DetachTest : public ModeTest {
 protected:
  // Notes everything; who says "detach" is detached and talks on, on a thread of its own.
  Events detaching() {
    Events handlers = events();
    note_all(handlers, log_);
    handlers.data = [this](Conn& conn, const Bytes& in, Output& out) {
      log_.add(conn, in.empty() ? "wake" : "data");
      if (in == "detach") {
        out = last_words_;
        return Action::Detach;
      }
      return echo(conn, in, out);
    };
    handlers.detached = [this](Conn& conn, DetachedConn rwc) {
      EXPECT_FALSE(conn.wake());
      EXPECT_FALSE(conn.send("never"));
      EXPECT_FALSE(conn.close());
      EXPECT_EQ(::fcntl(rwc.fd(), F_GETFL) & O_NONBLOCK, 0);
      log_.add(conn, "detached");
      const std::lock_guard lock(mutex_);
      owners_.emplace_back(talk_on, std::move(rwc));
      return Action::None;
    };
    return handlers;
  }
  void TearDown() override {
    for (std::thread& owner : owners_) owner.join();
    ModeTest::TearDown();
  }

  EventLog log_;
  std::string last_words_ = "last words";
  std::mutex mutex_;
  std::vector<std::thread> owners_;
};
EVIO_INSTANTIATE(DetachTest, all_modes());

TEST_P(DetachTest, HandsOverASocketThatAThreadTalksOnWith) {
  TestServer server(detaching(), address());
  Client client = server.connect();
  Client other = server.connect();
  client.send_all("detach");
  EXPECT_EQ(client.receive(10), "last words");
  ASSERT_TRUE(log_.wait_for("detached"));
  const std::string text = pattern(1'000'000);
  std::thread sender([&] {
    client.send_all(text);
    client.shutdown_write();
  });
  EXPECT_TRUE(client.receive_all() == text);
  sender.join();
  EXPECT_TRUE(client.at_end());
  other.send_all("hello");
  EXPECT_EQ(other.receive(5), "hello");
  EXPECT_EQ(log_.of(log_.ids().front()).back() == "detached" ? log_.of(log_.ids().front()) : log_.of(log_.ids().back()),
            (EventLog::List{"opened", "data", "detached"}));
}

TEST_P(DetachTest, SendsAllOutputAndLeavesInputToTheOwner) {
  last_words_ = pattern(6'000'000);
  TestServer server(detaching(), address());
  Client client(server.addr(), {.receive_buffer = 131'072});
  client.send_all("detach");
  ASSERT_TRUE(log_.wait_for("data"));
  client.send_all("said meanwhile");
  EXPECT_TRUE(client.has_input());
  EXPECT_EQ(log_.count("detached"), 0u);
  EXPECT_TRUE(client.receive(last_words_.size()) == last_words_);
  EXPECT_EQ(client.receive(14), "said meanwhile");
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "data", "detached"}));
}

TEST_P(DetachTest, TheSocketOutlivesTheServer) {
  Client client;
  {
    TestServer server(detaching(), address());
    client = server.connect();
    client.send_all("detach");
    ASSERT_TRUE(log_.wait_for("detached"));
  }
  EXPECT_EQ(client.receive(10), "last words");
  client.send_all("are you there?");
  EXPECT_EQ(client.receive(14), "are you there?");
  EXPECT_EQ(log_.count("closed"), 0u);
}

TEST_P(DetachTest, FromOpened) {
  Events handlers = detaching();
  handlers.opened = [&](Conn& conn, Output& out, Options&) {
    log_.add(conn, "opened");
    out = "welcome";
    return Action::Detach;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  EXPECT_EQ(client.receive(7), "welcome");
  client.send_all("hello");
  EXPECT_EQ(client.receive(5), "hello");
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "detached"}));
}

TEST_P(DetachTest, SendsTakenBeforeItArrive) {
  Events handlers = detaching();
  handlers.data = [&](Conn& conn, const Bytes&, Output&) {
    EXPECT_TRUE(conn.send("sent before "));
    EXPECT_TRUE(conn.send("the socket leaves"));
    return Action::Detach;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("x");
  EXPECT_EQ(client.receive(29), "sent before the socket leaves");
  ASSERT_TRUE(log_.wait_for("detached"));
}

TEST_P(DetachTest, ShutdownStillHandsItOver) {
  last_words_ = pattern(6'000'000);
  Events handlers = detaching();
  handlers.drain_timeout = kPatience;
  TestServer server(handlers, address());
  Client client(server.addr(), {.receive_buffer = 131'072});
  client.send_all("detach");
  ASSERT_TRUE(log_.wait_for("data"));
  server.shutdown();
  EXPECT_TRUE(client.receive(last_words_.size()) == last_words_);
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "data", "detached"}));
}

TEST_P(DetachTest, WithoutADetachedCallbackItIsClose) {
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    echo(conn, in, out);
    return Action::Detach;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("bye");
  EXPECT_EQ(client.receive_all(), "bye");
  EXPECT_TRUE(client.at_end());
  ASSERT_TRUE(log.wait_for("closed"));
  EXPECT_EQ(log.all(), (EventLog::List{"opened", "closed"}));
}

TEST_P(DetachTest, APeerThatFailsFirstIsClosedInstead) {
  last_words_ = pattern(6'000'000);
  TestServer server(detaching(), address());
  Client client(server.addr(), {.receive_buffer = 131'072});
  client.send_all("detach");
  ASSERT_TRUE(log_.wait_for("data"));
  EXPECT_TRUE(client.has_input());
  client.reset();
  ASSERT_TRUE(eventually([&] { return log_.all().size() == 3; }));
  EXPECT_TRUE(log_.all().back().starts_with("closed: ")) << log_.all().back();
}

TEST_P(DetachTest, ASocketThatNobodyKeepsIsClosed) {
  Events handlers = detaching();
  handlers.detached = [](Conn&, DetachedConn) { return Action::None; };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("detach");
  EXPECT_EQ(client.receive_all(), "last words");
  EXPECT_TRUE(client.at_end());
}

}  // namespace
}  // namespace evio::test
