// Guarantee 14: pre_write runs after the callback that produced bytes and before any of them leaves, once for a batch.
#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class PreWriteTest : public ModeTest {
 protected:
  // Each callback notes that it ran; pre_write holds the loop until the test says go on.
  Events held() {
    Events handlers = events();
    handlers.pre_write = [this] {
      log_.add("pre_write");
      EXPECT_TRUE(go_on_.wait());
    };
    return handlers;
  }
  // What the callback `event` has added must wait for pre_write, which must have run after it, on every path.
  void expect_held_back(Client& client, const std::string& event, std::string_view bytes) {
    ASSERT_TRUE(log_.wait_for("pre_write"));
    EXPECT_EQ(log_.all(), (EventLog::List{event, "pre_write"}));
    EXPECT_TRUE(client.is_quiet()) << "bytes have left before pre_write returned";
    go_on_.open();
    EXPECT_EQ(client.receive(bytes.size()), bytes);
    EXPECT_EQ(log_.all(), (EventLog::List{event, "pre_write"}));
  }

  EventLog log_;
  Gate go_on_;
};
EVIO_INSTANTIATE(PreWriteTest, all_modes());

TEST_P(PreWriteTest, HoldsBackWhatOpenedAdds) {
  Events handlers = held();
  handlers.opened = [&](Conn&, Output& out, Options&) {
    log_.add("opened");
    out = "hello";
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  expect_held_back(client, "opened", "hello");
}

TEST_P(PreWriteTest, HoldsBackWhatDataAdds) {
  Events handlers = held();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    log_.add("data");
    return echo(conn, in, out);
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("hello");
  expect_held_back(client, "data", "hello");
}

TEST_P(PreWriteTest, HoldsBackWhatDataAddsWithClose) {
  Events handlers = held();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    log_.add("data");
    echo(conn, in, out);
    return Action::Close;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("hello");
  expect_held_back(client, "data", "hello");
  EXPECT_EQ(client.receive_all(), "");
}

TEST_P(PreWriteTest, HoldsBackWhatAWakeAdds) {
  Events handlers = held();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    conn.wake();
    return Action::None;
  };
  handlers.data = [&](Conn&, const Bytes& in, Output& out) {
    log_.add(in.empty() ? "wake" : "data");
    out = "hello";
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  expect_held_back(client, "wake", "hello");
}

TEST_P(PreWriteTest, HoldsBackWhatSendAdds) {
  Conn conn;
  Gate opened;
  Events handlers = held();
  handlers.opened = [&](Conn& c, Output&, Options&) {
    conn = c;
    opened.open();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(opened.wait());
  log_.add("send");
  conn.send("hello");
  expect_held_back(client, "send", "hello");
}

TEST_P(PreWriteTest, RunsOnceForABatchHoweverManyWritesItTakes) {
  const std::string large = pattern(8'000'000);
  Counter calls;
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes&, Output& out) {
    out = large;
    return Action::None;
  };
  handlers.pre_write = [&] { calls.add(); };
  TestServer server(handlers, address());
  Client client(server.addr(), {.receive_buffer = 131'072});
  for (std::size_t i = 1; i <= 3; ++i) {
    client.send_all("x");
    EXPECT_TRUE(client.receive(large.size()) == large);
    EXPECT_EQ(calls.value(), i);
  }
}

TEST_P(PreWriteTest, RunsOnceForSendsThatTheLoopFindsTogether) {
  Conn conn;
  Gate called;
  Gate go_on;
  Counter calls;
  Events handlers = events();
  handlers.data = [&](Conn& c, const Bytes&, Output&) {
    conn = c;
    called.open();
    EXPECT_TRUE(go_on.wait());
    return Action::None;
  };
  handlers.pre_write = [&] { calls.add(); };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("x");
  ASSERT_TRUE(called.wait());
  for (int i = 0; i < 10; ++i) conn.send(std::to_string(i));
  EXPECT_EQ(calls.value(), 0u);
  go_on.open();
  EXPECT_EQ(client.receive(10), "0123456789");
  EXPECT_EQ(calls.value(), 1u);
}

TEST_P(PreWriteTest, DoesNotRunWhenThereIsNothingToWrite) {
  Counter calls;
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  handlers.opened = [&](Conn& conn, Output& out, Options&) {
    out = "taken back";
    out.clear();
    conn.wake();
    return Action::None;
  };
  handlers.data = [&](Conn& conn, const Bytes& in, Output&) {
    log.add(conn, in.empty() ? "wake" : "data");
    return Action::None;
  };
  handlers.pre_write = [&] { calls.add(); };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(log.wait_for("wake"));
  client.send_all("x");
  client.shutdown_write();
  EXPECT_EQ(client.receive_all(), "");
  ASSERT_TRUE(log.wait_for("closed"));
  EXPECT_EQ(calls.value(), 0u);
}

// What each loop has yet to write: pre_write runs where data ran.
thread_local std::string unwritten;

// What it is for: a record of every request is on disk before anyone gets its reply.
TEST_P(PreWriteTest, KeepsAnAppendOnlyFile) {
  const std::string file = path("appendonly");
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0);
  Events handlers = events();
  handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
    unwritten += in.view();
    return echo(conn, in, out);
  };
  handlers.pre_write = [&] {
    EXPECT_EQ(::write(fd, unwritten.data(), unwritten.size()), static_cast<ssize_t>(unwritten.size()));
    unwritten.clear();
  };
  {
    TestServer server(handlers, address());
    std::vector<std::thread> clients;
    for (int i = 0; i < 6; ++i) {
      clients.emplace_back([&, i] {
        Client client = server.connect();
        for (int round = 0; round < 30; ++round) {
          const std::string request = "<" + std::to_string(i) + ":" + std::to_string(round) + ">";
          client.send_all(request);
          EXPECT_EQ(client.receive(request.size()), request);
          std::ifstream written(file);
          const std::string all(std::istreambuf_iterator<char>(written), {});
          EXPECT_NE(all.find(request), std::string::npos) << request;
        }
      });
    }
    for (std::thread& client : clients) client.join();
  }
  ::close(fd);
  ::unlink(file.c_str());
}

}  // namespace
}  // namespace evio::test
