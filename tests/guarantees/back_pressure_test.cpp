// Guarantee 5: while output is pending nothing is read, and while nothing moves nothing runs.
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

class BackPressureTest : public ModeTest {
 protected:
  static constexpr std::size_t kMoreThanSocketsHold = 8'000'000;
  static constexpr Client::Tuning kSmall{.receive_buffer = 131'072};
};
EVIO_INSTANTIATE(BackPressureTest, with_tls(all_modes()));

// Detach is an error over TLS: TlsTest.DetachIsAnError.
class BackPressureDetachTest : public BackPressureTest {};
EVIO_INSTANTIATE(BackPressureDetachTest, all_modes());

TEST_P(BackPressureTest, DoesNotReadAPeerThatNeverReads) {
  Counter received;
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    EXPECT_EQ(conn.pending(), 0u) << "it is read while output is pending";
    received.add(in.size());
    return echo(conn, in, out);
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  constexpr std::size_t kMost = 100'000'000;  // tcp_rmem and tcp_wmem may allow 40 MB, tcp(7)
  const std::string text = pattern(1'000'003);
  const std::size_t sent = client.send_until_full(text, kMost, [this] { return all_sleep(); });
  ASSERT_LT(sent, kMost) << "the server reads though its output is not taken";
  EXPECT_TRUE(all_sleep()) << "something spins";
  EXPECT_LE(received.value(), sent);
  // Nothing was lost, and it goes on.
  EXPECT_TRUE(client.receive(sent) == repeated(text, sent));
  client.send_all("more");
  EXPECT_EQ(client.receive(4), "more");
}

TEST_P(BackPressureTest, InputWaitsUntilThePendingOutputIsGone) {
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  const std::string large = pattern(kMoreThanSocketsHold);
  handlers.opened = [&](Conn& conn, Output& out, Options&) {
    log.add(conn, "opened");
    out = large;
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(log.wait_for("opened"));
  client.send_all("hello");
  EXPECT_TRUE(all_sleep()) << "something spins";
  EXPECT_EQ(log.count("data"), 0u);
  EXPECT_TRUE(client.receive(large.size()) == large);
  EXPECT_EQ(client.receive(5), "hello");
}

TEST_P(BackPressureTest, AHalfCloseWithPendingOutputCostsNothing) {
  const std::string large = pattern(kMoreThanSocketsHold);
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  handlers.data = [&](Conn& conn, const Bytes&, Output& out) {
    log.add(conn, "data");
    out = large;
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  client.send_all("x");
  client.shutdown_write();
  ASSERT_TRUE(log.wait_for("data"));
  EXPECT_TRUE(all_sleep()) << "something spins";
  EXPECT_EQ(log.count("closed"), 0u);
  EXPECT_TRUE(client.receive_all() == large);
}

TEST_P(BackPressureTest, AResetDuringPendingOutputClosesWithItsError) {
  EventLog log;
  Counter failed;
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output& out, Options&) {
    out = pattern(kMoreThanSocketsHold);
    log.add(conn, "opened");
    return Action::None;
  };
  handlers.closed = [&](Conn&, const Error& err) {
    EXPECT_TRUE(err);
    EXPECT_NE(err.message(), "");
    failed.add();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  ASSERT_TRUE(log.wait_for("opened"));
  EXPECT_TRUE(client.has_input());
  client.reset();
  EXPECT_TRUE(failed.wait_for(1));
  EXPECT_TRUE(all_sleep()) << "something spins";
}

TEST_P(BackPressureTest, APeerThatStaysAfterCloseCostsNothing) {
  Events handlers = events();
  handlers.opened = [](Conn&, Output& out, Options&) {
    out = "bye";
    return Action::Close;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  EXPECT_EQ(client.receive_all(), "bye");
  EXPECT_TRUE(all_sleep()) << "something spins";
}

TEST_P(BackPressureDetachTest, ADetachThatWaitsForItsOutputCostsNothing) {
  const std::string large = pattern(kMoreThanSocketsHold);
  Gate detached;
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes&, Output& out) {
    out = large;
    return Action::Detach;
  };
  DetachedConn kept;  // closing it here would reset the connection, for it has unread input
  handlers.detached = [&](Conn&, DetachedConn rwc) {
    kept = std::move(rwc);
    detached.open();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  client.send_all("x");
  client.send_all("input behind the action");
  EXPECT_TRUE(all_sleep()) << "something spins";
  EXPECT_FALSE(detached.is_open());
  EXPECT_TRUE(client.receive(large.size()) == large);
  EXPECT_TRUE(detached.wait());
}

// A thread that sleeps through makes no system call: neither itself nor the scheduler switched it meanwhile.
TEST_P(BackPressureTest, AnIdleServerMakesNoSystemCalls) {
  EventLog log;
  Events handlers = events();
  note_all(handlers, log);
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(server.connect());
    clients.back().send_all("ping");
    EXPECT_EQ(clients.back().receive(4), "ping");
  }
  const auto loops_threads = baseline().new_threads();
  ASSERT_EQ(loops_threads.size(), static_cast<std::size_t>(loops()));
  EXPECT_TRUE(all_sleep(400ms));
}

}  // namespace
}  // namespace evio::test
