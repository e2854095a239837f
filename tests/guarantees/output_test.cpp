// Guarantee 3: output is appended, never replaced.
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class OutputTest : public ModeTest {
 protected:
  // More than the sockets of both ends hold together, so that some of it is pending until the client reads.
  static constexpr std::size_t kMoreThanSocketsHold = 8'000'000;
  static constexpr Client::Tuning kSmall{.receive_buffer = 131'072};
};
EVIO_INSTANTIATE(OutputTest, with_tls(all_modes()));

TEST_P(OutputTest, OneCallsOutputLeavesWholeHoweverLargeItIs) {
  const std::string large = pattern(kMoreThanSocketsHold);
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes&, Output& out) {
    out = large;
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  for (int i = 0; i < 2; ++i) {
    client.send_all("x");
    EXPECT_TRUE(client.receive(large.size()) == large);
  }
  EXPECT_TRUE(client.is_quiet());
}

TEST_P(OutputTest, AWakeAddsToUnsentOutput) {
  constexpr int kWakes = 200;
  std::string expected = pattern(kMoreThanSocketsHold);
  Conn conn;
  Counter opened;
  Counter woken;
  Events handlers = events();
  handlers.opened = [&](Conn& c, Output& out, Options&) {
    out = expected;
    conn = c;
    opened.add();
    return Action::None;
  };
  handlers.data = [&](Conn&, const Bytes& in, Output& out) {
    EXPECT_TRUE(in.empty());
    const std::string piece = "[" + std::to_string(woken.value()) + "]";
    expected += piece;
    out = piece;
    woken.add();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(opened.wait_for(1));
  for (std::size_t i = 1; i <= kWakes; ++i) {
    EXPECT_TRUE(conn.wake());
    ASSERT_TRUE(woken.wait_for(i));
  }
  EXPECT_TRUE(client.receive(expected.size()) == expected);
  EXPECT_TRUE(client.is_quiet());
}

TEST_P(OutputTest, DataAddsToWhatOpenedHasNotSentYet) {
  const std::string greeting = pattern(kMoreThanSocketsHold);
  Events handlers = events();
  handlers.opened = [&](Conn&, Output& out, Options&) {
    out = greeting;
    return Action::None;
  };
  handlers.data = echo;
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  client.send_all("and the reply");
  EXPECT_TRUE(client.receive(greeting.size()) == greeting);
  EXPECT_EQ(client.receive(13), "and the reply");
}

TEST_P(OutputTest, ASendAddsToUnsentOutput) {
  const std::string greeting = pattern(kMoreThanSocketsHold);
  Conn conn;
  Gate opened;
  Events handlers = events();
  handlers.opened = [&](Conn& c, Output& out, Options&) {
    out = greeting;
    conn = c;
    opened.open();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(opened.wait());
  std::string expected = greeting;
  for (unsigned i = 0; i < 100; ++i) {
    const std::string piece = pattern(i * 300, i);
    expected += piece;
    EXPECT_TRUE(conn.send(piece));
  }
  EXPECT_TRUE(client.receive(expected.size()) == expected);
  EXPECT_TRUE(client.is_quiet());
}

TEST_P(OutputTest, OwnSendsAndOutputKeepTheirOrder) {
  Events handlers = events();
  handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
    conn.send("<");
    conn.send(in);
    out = ">";
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  for (const char* text : {"one", "two", "three"}) {
    client.send_all(text);
    const std::string expected = std::string("<") + text + ">";
    EXPECT_EQ(client.receive(expected.size()), expected);
  }
}

TEST_P(OutputTest, AssigningReplacesOnlyThisCallsOutput) {
  Events handlers = events();
  handlers.opened = [](Conn&, Output& out, Options&) {
    out = "never sent";
    out = "hello ";
    return Action::None;
  };
  handlers.data = [](Conn&, const Bytes& in, Output& out) {
    EXPECT_TRUE(out.empty());
    out += "never sent either";
    out = in;
    out.push_back('!');
    out.append(" ").append(std::string(20'000, 'y')).append(Bytes(std::string(20'000, 'z')));
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("you");
  const std::string expected = "hello you! " + std::string(20'000, 'y') + std::string(20'000, 'z');
  EXPECT_EQ(client.receive(expected.size()), expected);
  EXPECT_TRUE(client.is_quiet());
}

TEST_P(OutputTest, OutputOfOneConnectionNeverReachesAnother) {
  constexpr unsigned kClients = 8;
  Events handlers = events();
  handlers.data = echo;
  TestServer server(handlers, address());
  std::vector<std::thread> clients;
  for (unsigned i = 0; i < kClients; ++i) {
    clients.emplace_back([&server, i] {
      Client client(server.addr(), kSmall);
      const std::string text = pattern(700'000, i);
      std::thread sender([&] { client.send_all(text); });
      std::string received = client.receive(text.size());
      sender.join();
      EXPECT_TRUE(received == text);
    });
  }
  for (std::thread& client : clients) client.join();
}

TEST_P(OutputTest, SharedBytesReachManyConnections) {
  const Bytes shared = Bytes(pattern(300'000));
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes&, Output& out) {
    out.append("head ").append(shared).append(" tail");
    return Action::None;
  };
  TestServer server(handlers, address());
  const std::string expected = "head " + shared.str() + " tail";
  std::vector<Client> clients;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(server.connect());
    clients.back().send_all("x");
  }
  for (Client& client : clients) EXPECT_TRUE(client.receive(expected.size()) == expected);
}

}  // namespace
}  // namespace evio::test
