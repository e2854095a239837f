// Guarantee 12: what Shutdown does about output that is still pending.
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

class ShutdownDrainTest : public ModeTest {
 protected:
  static constexpr std::size_t k16MB = 16'000'000;
  static constexpr Client::Tuning kSmall{.receive_buffer = 131'072};

  // A server that sends 16 MB to everyone who says "much", and nothing to the others.
  Events sending_much(std::chrono::nanoseconds drain_timeout) {
    Events handlers = events();
    note_all(handlers, log_);
    handlers.drain_timeout = drain_timeout;
    handlers.data = [this](Conn& conn, const Bytes& in, Output& out) {
      log_.add(conn, in.str());
      if (in == "much") out = much_;
      return Action::None;
    };
    return handlers;
  }
  // Answers what comes first by `answer`, which must outlive the server, and Shutdown.
  static Events answering_and_ending(const std::string& answer) {
    Events handlers = events();
    handlers.drain_timeout = kPatience;
    handlers.data = [&answer](Conn&, const Bytes&, Output& out) {
      out = answer;
      return Action::Shutdown;
    };
    return handlers;
  }

  EventLog log_;
  const Bytes much_ = Bytes(pattern(k16MB));
};
EVIO_INSTANTIATE(ShutdownDrainTest, with_tls(all_modes()));

TEST_P(ShutdownDrainTest, AReadingClientGetsAllThatWasPending) {
  TestServer server(sending_much(kPatience), address());
  Client client(server.addr(), kSmall);
  client.send_all("much");
  ASSERT_TRUE(log_.wait_for("much"));
  EXPECT_TRUE(client.has_input());
  server.shutdown();
  EXPECT_TRUE(client.receive_all() == much_);
  EXPECT_TRUE(client.at_end()) << client.error().message();
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "much", "closed"}));
}

TEST_P(ShutdownDrainTest, EndsAtTheTimeoutIfAClientNeverReads) {
  TestServer server(sending_much(100ms), address());
  Client client(server.addr(), kSmall);
  client.send_all("much");
  ASSERT_TRUE(log_.wait_for("much"));
  const auto began = std::chrono::steady_clock::now();
  server.shutdown();
  EXPECT_FALSE(server.wait());
  EXPECT_GE(std::chrono::steady_clock::now() - began, 100ms);
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "much", "closed"}));
}

TEST_P(ShutdownDrainTest, ZeroOrLessIsNotAtAll) {
  for (const auto timeout : {0ns, -1ns, std::chrono::nanoseconds(-10s)}) {
    const std::size_t before = log_.count("much");
    TestServer server(sending_much(timeout), address());
    Client client(server.addr(), kSmall);
    client.send_all("much");
    ASSERT_TRUE(log_.wait_for("much", before + 1));
    server.shutdown();
    EXPECT_FALSE(server.wait());
    EXPECT_LT(client.receive_all().size(), k16MB);
  }
  EXPECT_EQ(log_.count("closed"), 3u);
}

TEST_P(ShutdownDrainTest, ConnectionsWithNothingToSendDoNotWait) {
  TestServer server(sending_much(std::chrono::hours(1)), address());
  std::vector<Client> idle;
  for (int i = 0; i < 8; ++i) idle.push_back(server.connect());
  ASSERT_TRUE(log_.wait_for("opened", 8));
  // Alone they do not hold the server at all; with one that drains they are closed before it.
  Client slow(server.addr(), kSmall);
  slow.send_all("much");
  ASSERT_TRUE(log_.wait_for("much"));
  server.shutdown();
  ASSERT_TRUE(log_.wait_for("closed", 8));
  for (Client& client : idle) EXPECT_EQ(client.receive_all(), "");
  EXPECT_FALSE(server.returned());
  EXPECT_TRUE(slow.receive_all() == much_);
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(log_.count("closed"), 9u);
}

TEST_P(ShutdownDrainTest, WithNothingPendingItReturnsAtOnce) {
  TestServer server(sending_much(std::chrono::hours(1)), address());
  Client client = server.connect();
  ASSERT_TRUE(log_.wait_for("opened"));
  server.shutdown();
  EXPECT_FALSE(server.wait());
}

TEST_P(ShutdownDrainTest, NothingIsReadOrAcceptedMeanwhile) {
  Events handlers = sending_much(kPatience);
  handlers.load_balance = LoadBalance::RoundRobin;
  TestServer server(handlers, address());
  Client client(server.addr(), kSmall);
  client.send_all("much");
  ASSERT_TRUE(log_.wait_for("much"));
  std::vector<Client> idle;
  for (int i = 0; i < loops(); ++i) idle.push_back(server.connect());
  ASSERT_TRUE(log_.wait_for("opened", 1 + idle.size()));
  server.shutdown();
  ASSERT_TRUE(log_.wait_for("closed", idle.size()));  // one on each loop: all of them know
  client.send_all("input for nobody");
  EXPECT_FALSE(Client(server.addr(), {.may_be_refused = true}).connected()) << "it is accepted to be reset";
  EXPECT_TRUE(client.receive_all() == much_);
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(log_.count("opened"), 1 + idle.size());
  EXPECT_EQ(log_.all().size(), 2 * (1 + idle.size()) + 1);
}

// The kernel has taken the answer whole, but a socket that is closed then answers what its peer sends by a reset, which
// takes the rest of the answer with it.
TEST_P(ShutdownDrainTest, APeerThatStillSendsGetsWhatTheKernelHasTaken) {
  const std::string answer = pattern(1'000'000);
  TestServer server(answering_and_ending(answer), address());
  Client client(server.addr(), kSmall);
  client.send_all("x");
  EXPECT_TRUE(client.has_input());
  for (int i = 0; i < 10; ++i) client.send_all("more");
  EXPECT_TRUE(client.receive_all() == answer);
  EXPECT_TRUE(client.at_end()) << client.error().message();
  EXPECT_FALSE(server.wait());
}

// The second for which a closed connection lingers is not all that a drain has.
TEST_P(ShutdownDrainTest, ASlowReaderThatStillSendsHasTheWholeTimeout) {
  if (loops() != 1 || !mode().is_tcp()) return;  // takes its time, and concerns what tcp's kernel holds
  const std::string answer = pattern(3'000'000);
  TestServer server(answering_and_ending(answer), address());
  Client client(server.addr(), kSmall);
  client.send_all("x");
  std::string received;
  while (received.size() < answer.size()) {
    const std::string piece = client.receive(200'000);
    if (piece.empty()) break;
    received += piece;
    client.send_all("m");
    std::this_thread::sleep_for(100ms);  // a slow client, for more than a second in all
  }
  EXPECT_TRUE(received == answer) << received.size();
  EXPECT_FALSE(server.wait());
}

TEST_P(ShutdownDrainTest, AskingAgainChangesNothing) {
  TestServer server(sending_much(kPatience), address());
  Client client(server.addr(), kSmall);
  client.send_all("much");
  ASSERT_TRUE(log_.wait_for("much"));
  for (int i = 0; i < 100; ++i) server.shutdown();
  EXPECT_TRUE(client.receive_all() == much_);
  EXPECT_FALSE(server.wait());
}

TEST_P(ShutdownDrainTest, APeerThatGoesAwayMeanwhileEndsItsWait) {
  TestServer server(sending_much(std::chrono::hours(1)), address());
  Client client(server.addr(), kSmall);
  client.send_all("much");
  ASSERT_TRUE(log_.wait_for("much"));
  server.shutdown();
  client.reset();
  EXPECT_FALSE(server.wait());
  EXPECT_TRUE(log_.all().back().starts_with("closed"));
}

// A tick an hour away, and a Close that lingers, are no reason to stay.
TEST_P(ShutdownDrainTest, TimersDoNotHoldIt) {
  Events handlers = events();
  handlers.tick = [](std::chrono::nanoseconds& delay) {
    delay = std::chrono::hours(1);
    return Action::None;
  };
  handlers.opened = [](Conn&, Output& out, Options&) {
    out = "bye";
    return Action::Close;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  EXPECT_EQ(client.receive_all(), "bye");
  server.shutdown();
  EXPECT_FALSE(server.wait());
}

}  // namespace
}  // namespace evio::test
