// Connections that close in the middle of a batch of ready ones, and whose descriptors are taken at once by new ones:
// no event of the old is taken for one of the new.
#include <fcntl.h>
#include <unistd.h>

#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/fault/inject.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class DescriptorReuseRegressionTest : public ModeTest {
 protected:
  static constexpr int kClients = 60;

  /// What a connection is told by its client, and must hear nothing else.
  struct Identity {
    std::string name;
    bool over = false;
  };

  Events handlers() {
    Events handlers = events();
    handlers.opened = [this](Conn& conn, Output&, Options&) {
      conn.set_context(Identity());
      opened_.add();
      return Action::None;
    };
    handlers.data = [this](Conn& conn, const Bytes& in, Output& out) { return hear(conn, in, out); };
    handlers.closed = [this](Conn& conn, const Error&) {
      leave(conn);
      return Action::None;
    };
    handlers.detached = [this](Conn& conn, DetachedConn rwc) {
      leave(conn);
      Error ignored;
      rwc.write("detached", ignored);
      EXPECT_FALSE(rwc.close());
      take_descriptors();  // the very number that was just given back
      return Action::None;
    };
    return handlers;
  }

  // Each client says its name and what is to be done: "12:close" and the like.
  Action hear(Conn& conn, const Bytes& in, Output& out) {
    Identity& self = *conn.context<Identity>();
    EXPECT_FALSE(self.over);
    if (in == "block") {
      blocked_.open();
      EXPECT_TRUE(go_on_.wait());
      return Action::None;
    }
    const std::string text = in.str();
    const std::string name = text.substr(0, text.find(':'));
    if (self.name.empty()) self.name = name;
    EXPECT_EQ(self.name, name) << "input of another connection";
    out = name;
    if (text.ends_with("close")) return Action::Close;
    if (text.ends_with("detach")) return Action::Detach;
    if (text.ends_with("throw")) throw std::runtime_error("as asked");
    if (text.ends_with("self")) conn.close();
    return Action::None;
  }

  void leave(Conn& conn) {
    Identity& self = *conn.context<Identity>();
    EXPECT_FALSE(self.over) << "closed twice";
    self.over = true;
    const std::lock_guard lock(mutex_);
    EXPECT_TRUE(gone_.insert(conn.id()).second) << "closed twice";
    closed_.add();
    take_descriptors();
  }

  void TearDown() override {
    taken_.clear();  // the server is gone
    ModeTest::TearDown();
  }

  // Whatever number is free is in use again, and stays so until the test is over.
  void take_descriptors() {
    for (int i = 0; i < 2; ++i) taken_.emplace_back(::open("/dev/null", O_RDWR | O_CLOEXEC));
  }

  Counter opened_;
  Counter closed_;
  Gate blocked_;
  Gate go_on_;
  std::mutex mutex_;
  std::set<std::uint64_t> gone_;
  std::vector<UniqueFd> taken_;
};
EVIO_INSTANTIATE(DescriptorReuseRegressionTest, modes_of({1}));

TEST_P(DescriptorReuseRegressionTest, InABatchOfEveryWayToClose) {
  static const std::vector<std::string> kWays{"close", "detach", "throw", "self", "stay", "end", "reset"};
  TestServer server(handlers(), address());
  Client blocker = server.connect();
  std::vector<Client> clients;
  for (int i = 0; i < kClients; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(opened_.wait_for(1 + kClients));
  blocker.send_all("block");
  ASSERT_TRUE(blocked_.wait());
  // All of these are ready in one batch, and as many new ones behind them.
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const std::string& way = kWays[i % kWays.size()];
    clients[i].send_all(std::to_string(i) + ":" + way);
    if (way == "end") clients[i].shutdown_write();
    if (way == "reset") clients[i].reset();
  }
  std::vector<Client> late;
  for (int i = 0; i < kClients; ++i) {
    late.push_back(server.connect());
    late.back().send_all(std::to_string(1000 + i) + ":stay");
  }
  go_on_.open();
  std::size_t over = 0;
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const std::string& way = kWays[i % kWays.size()];
    if (way != "stay") ++over;
    if (way == "reset") continue;
    const std::string name = std::to_string(i);
    const std::string expected = way == "throw" ? "" : way == "detach" ? name + "detached" : name;
    if (way == "stay") {
      EXPECT_EQ(clients[i].receive(expected.size()), expected);
    } else {
      EXPECT_EQ(clients[i].receive_all(), expected) << way;
    }
  }
  for (std::size_t i = 0; i < late.size(); ++i) EXPECT_EQ(late[i].receive(4), std::to_string(1000 + i));
  EXPECT_TRUE(closed_.wait_for(over));
}

// From opened too, where the poller does not know the descriptor yet.
TEST_P(DescriptorReuseRegressionTest, FromOpened) {
  Events made = handlers();
  made.opened = [this](Conn& conn, Output& out, Options&) {
    conn.set_context(Identity());
    const std::size_t n = opened_.add();
    out = std::to_string(n % 3);
    return n % 3 == 0 ? Action::None : n % 3 == 1 ? Action::Close : Action::Detach;
  };
  TestServer server(made, address());
  for (int i = 1; i <= kClients; ++i) {
    Client client = server.connect();
    if (i % 3 == 0) {
      client.send_all(std::to_string(i) + ":close");
      EXPECT_EQ(client.receive_all(), "0" + std::to_string(i));
    } else {
      EXPECT_EQ(client.receive_all(), i % 3 == 1 ? "1" : "2detached");
    }
  }
  EXPECT_TRUE(closed_.wait_for(kClients));
}

// The notes close connections that are in the batch the loop has just been given, and others take their place.
TEST_P(DescriptorReuseRegressionTest, ByNotesWithTheirInputAlreadyReported) {
  std::vector<Conn> conns;
  Events made = handlers();
  made.opened = [&](Conn& conn, Output&, Options&) {
    conn.set_context(Identity());
    conns.push_back(conn);
    opened_.add();
    return Action::None;
  };
  TestServer server(made, address());
  Client blocker = server.connect();
  std::vector<Client> clients;
  for (int i = 0; i < kClients; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(opened_.wait_for(1 + kClients));
  blocker.send_all("block");
  ASSERT_TRUE(blocked_.wait());
  for (std::size_t i = 0; i < clients.size(); ++i) {
    clients[i].send_all("unheard");
    clients[i].shutdown_write();
    EXPECT_TRUE(conns[i + 1].close());
  }
  conns.clear();  // the loop's hold of each is the last
  std::vector<Client> late;
  for (int i = 0; i < kClients; ++i) {
    late.push_back(server.connect());
    late.back().send_all(std::to_string(1000 + i) + ":stay");
  }
  go_on_.open();
  for (Client& client : clients) EXPECT_EQ(client.receive_all(), "");
  for (std::size_t i = 0; i < late.size(); ++i) EXPECT_EQ(late[i].receive(4), std::to_string(1000 + i));
  EXPECT_TRUE(closed_.wait_for(kClients));
}

// Nobody reads what has come for the new owner: a loop that watches it still would be told again and again.
TEST_P(DescriptorReuseRegressionTest, ADetachedSocketIsWatchedNoMore) {
  DetachedConn kept;
  Gate detached;
  Events made = handlers();
  made.detached = [&](Conn&, DetachedConn rwc) {
    kept = std::move(rwc);
    detached.open();
    return Action::None;
  };
  TestServer server(made, address());
  Client client = server.connect();
  client.send_all("1:detach");
  EXPECT_EQ(client.receive(1), "1");
  ASSERT_TRUE(detached.wait());
  client.send_all("for its new owner");
  const Injection counting(nullptr);
  EXPECT_TRUE(client.is_quiet());
  EXPECT_LE(counting.count(Call::kEpollWait) + counting.count(Call::kPoll), 2);
}

}  // namespace
}  // namespace evio::test
