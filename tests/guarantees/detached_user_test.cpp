// Detach as it is meant to be used: a connection that starts in the server and is then talked to by a blocking thread
// of its own, as after a protocol upgrade.
#include <unistd.h>

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

// Reads a line, which a blocking socket gives byte by byte to whoever does not want more. False at the end.
bool read_line(DetachedConn& conn, std::string& pending, std::string& line) {
  std::array<char, 512> buffer;
  Error err;
  std::size_t end = 0;
  while ((end = pending.find('\n')) == std::string::npos) {
    const std::size_t n = conn.read(buffer, err);
    EXPECT_FALSE(err) << err.message();
    if (n == 0) return false;
    pending.append(buffer.data(), n);
  }
  line = pending.substr(0, end);
  pending.erase(0, end + 1);
  return true;
}

class DetachedUserTest : public ModeTest {
 protected:
  // Lines are answered by "server: "; after "upgrade" a thread of its own answers by "thread: ", what came with the
  // upgrade included. "big N" is answered with N bytes, "bye" ends it.
  Events upgrading() {
    Events handlers = events();
    handlers.opened = [](Conn& conn, Output&, Options&) {
      conn.set_context(Session());
      return Action::None;
    };
    handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
      Session& session = *conn.context<Session>();
      session.rest += in.view();
      for (std::size_t end = 0; (end = session.rest.find('\n')) != std::string::npos;) {
        const std::string line = session.rest.substr(0, end);
        session.rest.erase(0, end + 1);
        if (line == "upgrade") {
          out += "upgraded\n";
          return Action::Detach;
        }
        out.append("server: ").append(line).push_back('\n');
      }
      return Action::None;
    };
    handlers.detached = [this](Conn& conn, DetachedConn rwc) {
      std::string rest = std::move(conn.context<Session>()->rest);
      const std::lock_guard lock(mutex_);
      users_.emplace_back([rwc = std::move(rwc), rest = std::move(rest)]() mutable { talk(rwc, rest); });
      return Action::None;
    };
    return handlers;
  }

  void TearDown() override {
    for (std::thread& user : users_) user.join();
    ModeTest::TearDown();
  }

 private:
  struct Session {
    std::string rest;
  };

  static void talk(DetachedConn& conn, std::string& pending) {
    std::string line;
    Error err;
    while (read_line(conn, pending, line)) {
      const std::string answer =
          line.starts_with("big ") ? pattern(std::stoul(line.substr(4))) : "thread: " + line + "\n";
      EXPECT_EQ(conn.write(answer, err), answer.size());
      EXPECT_FALSE(err) << err.message();
      if (line == "bye") break;
    }
    EXPECT_FALSE(conn.close());
  }

  std::mutex mutex_;
  std::vector<std::thread> users_;
};
EVIO_INSTANTIATE(DetachedUserTest, all_modes());

void expect_answer(Client& client, const std::string& line, const std::string& answer) {
  client.send_all(line + "\n");
  EXPECT_EQ(client.receive(answer.size() + 1), answer + "\n");
}

TEST_P(DetachedUserTest, ManyAreUpgradedWhileOthersAreServed) {
  TestServer server(upgrading(), address());
  std::vector<Client> clients;
  for (int i = 0; i != 6; ++i) clients.push_back(server.connect());
  for (Client& client : clients) expect_answer(client, "a", "server: a");
  for (std::size_t i = 0; i < clients.size(); i += 2) expect_answer(clients[i], "upgrade", "upgraded");
  for (int round = 0; round != 5; ++round) {
    for (std::size_t i = 0; i != clients.size(); ++i) {
      expect_answer(clients[i], "b", i % 2 == 0 ? "thread: b" : "server: b");
    }
  }
  for (std::size_t i = 0; i < clients.size(); i += 2) {
    expect_answer(clients[i], "bye", "thread: bye");
    EXPECT_EQ(clients[i].receive_all(), "");
    EXPECT_TRUE(clients[i].at_end());
  }
  for (std::size_t i = 1; i < clients.size(); i += 2) expect_answer(clients[i], "c", "server: c");
}

TEST_P(DetachedUserTest, WhatCameWithTheUpgradeIsTheUsers) {
  TestServer server(upgrading(), address());
  Client client = server.connect();
  client.send_all("one\nupgrade\ntwo\nthr");
  const std::string expected = "server: one\nupgraded\nthread: two\n";
  EXPECT_EQ(client.receive(expected.size()), expected);
  expect_answer(client, "ee", "thread: three");
  client.send_all("bye\n");
  EXPECT_EQ(client.receive_all(), "thread: bye\n");
}

TEST_P(DetachedUserTest, TheUserBlocksInAWriteUntilItIsRead) {
  TestServer server(upgrading(), address());
  Client client = server.connect();
  expect_answer(client, "upgrade", "upgraded");
  constexpr std::size_t kSize = 16 << 20;
  client.send_all("big " + std::to_string(kSize) + "\n");
  EXPECT_EQ(client.receive(1).size(), 1u);
  EXPECT_TRUE(all_sleep()) << "it waits, it does not spin";
  EXPECT_TRUE(client.receive(kSize - 1) == pattern(kSize).substr(1));
  expect_answer(client, "small", "thread: small");
}

TEST_P(DetachedUserTest, TheTalkGoesOnWhenTheServerIsOver) {
  Client client;
  {
    TestServer server(upgrading(), address());
    client = server.connect();
    expect_answer(client, "upgrade", "upgraded");
    expect_answer(client, "during", "thread: during");
  }
  expect_answer(client, "after", "thread: after");
  client.shutdown_write();
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_TRUE(client.at_end());
}

TEST_P(DetachedUserTest, OneThreadReadsWhileAnotherWrites) {
  Gate detached;
  DetachedConn user;
  Events handlers = events();
  handlers.data = [](Conn&, const Bytes&, Output&) { return Action::Detach; };
  handlers.detached = [&](Conn&, DetachedConn rwc) {
    user = std::move(rwc);
    detached.open();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("go");
  ASSERT_TRUE(detached.wait());
  const std::string there = pattern(2 << 20, 1);
  const std::string back = pattern(2 << 20, 2);
  std::string got;
  std::thread reader([&] {
    std::array<char, 9999> buffer;
    Error err;
    while (const std::size_t n = user.read(buffer, err)) got.append(buffer.data(), n);
    EXPECT_FALSE(err) << err.message();
  });
  std::thread writer([&] {
    Error err;
    EXPECT_EQ(user.write(back, err), back.size());
    EXPECT_FALSE(err) << err.message();
  });
  Client sending{UniqueFd(::dup(client.fd()))};  // its error() is its own: one thread sends while another receives
  std::thread sender([&] {
    sending.send_all(there);
    sending.shutdown_write();
  });
  EXPECT_TRUE(client.receive(back.size()) == back);
  for (std::thread* thread : {&reader, &writer, &sender}) thread->join();
  EXPECT_TRUE(got == there);
}

// The descriptor is an ordinary one: it may be released and used by whatever else wants a socket.
TEST_P(DetachedUserTest, TheDescriptorMayBeReleased) {
  Gate detached;
  UniqueFd fd;
  Events handlers = events();
  handlers.opened = [](Conn&, Output& out, Options&) {
    out = "hello";
    return Action::Detach;
  };
  handlers.detached = [&](Conn&, DetachedConn rwc) {
    fd = UniqueFd(rwc.release());
    detached.open();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  EXPECT_EQ(client.receive(5), "hello");
  ASSERT_TRUE(detached.wait());
  server.shutdown();
  EXPECT_FALSE(server.wait());
  Client other{std::move(fd)};
  other.send_all("from its new owner");
  EXPECT_EQ(client.receive(18), "from its new owner");
}

}  // namespace
}  // namespace evio::test
