// Guarantee 22: each side of a stream ends alone. Turn by turn: unit/stream/stream_half_open_test.
#include <atomic>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class HalfOpenTest : public ModeTest {
 protected:
  static constexpr std::size_t kMoreThanSocketsHold = 8'000'000;
  static constexpr Client::Tuning kSmall{.receive_buffer = 131'072};
  static constexpr Options kHalfOpen{.half_open = true};

  // Notes everything but the pieces of input, whose number is open, and keeps the connection.
  Events noting(Options options = kHalfOpen, std::string welcome = "") {
    Events handlers = events();
    handlers.opened = [this, options, welcome](Conn& conn, Output& out, Options& opts) {
      conn_ = conn;
      opts = options;
      out = welcome;
      log_.add(conn, "opened");
      return Action::None;
    };
    handlers.data = [this](Conn& conn, const Bytes& in, Output&) {
      if (in.empty()) log_.add(conn, "wake");
      received_.add(in.size());
      return Action::None;
    };
    handlers.ended = [this](Conn& conn, Output&) {
      EXPECT_EQ(received_.value(), expected_) << "before all input";
      log_.add(conn, "ended");
      return Action::None;
    };
    handlers.closed = [this](Conn& conn, const Error& err) {
      if (err) message_ = err.message();  // of several connections at most one fails
      log_.add(conn, err ? "failed" : "closed");
      closed_.open();
      return Action::None;
    };
    return handlers;
  }
  Client connect(const TestServer& server, const Client::Tuning& tuning = {}) {
    Client client(server.addr(), tuning);
    EXPECT_TRUE(log_.wait_for("opened"));
    return client;
  }

  EventLog log_;
  Conn conn_;  // once "opened" is noted
  Counter received_;
  std::atomic<std::size_t> expected_{0};  // by the peer's end
  Gate closed_;
  std::string message_;  // once its end is noted
};
EVIO_INSTANTIATE(HalfOpenTest, with_tls(all_modes()));

// Detach is an error over TLS: TlsTest.DetachIsAnError.
class HalfOpenDetachTest : public HalfOpenTest {};
EVIO_INSTANTIATE(HalfOpenDetachTest, all_modes());

TEST_P(HalfOpenTest, EndedComesOnceAfterAllInput) {
  const std::string text = pattern(3'000'000);
  expected_ = text.size();
  TestServer server(noting(), address());
  Client client = connect(server);
  client.send_all(text);
  client.shutdown_write();
  ASSERT_TRUE(log_.wait_for("ended"));
  EXPECT_TRUE(all_sleep()) << "something spins";
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "ended"}));
  EXPECT_TRUE(client.is_quiet()) << "it is still open";
}

TEST_P(HalfOpenTest, OutputSendAndPostsGoOnUntilClose) {
  const std::string large = pattern(kMoreThanSocketsHold);
  Events handlers = noting();
  handlers.ended = [&](Conn& conn, Output& out) {
    EXPECT_TRUE(conn.send("sent in ended, "));
    out = "output of ended, ";
    log_.add(conn, "ended");
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = connect(server, kSmall);
  client.shutdown_write();
  EXPECT_EQ(client.receive(32), "sent in ended, output of ended, ");
  EXPECT_TRUE(conn_.send("sent, "));
  EXPECT_TRUE(conn_.post([&](Conn&, Output& out) {
    out = large;
    return Action::None;
  }));
  EXPECT_EQ(client.receive(6), "sent, ");
  EXPECT_TRUE(client.receive(large.size()) == large);
  EXPECT_TRUE(conn_.wake());
  ASSERT_TRUE(log_.wait_for("wake"));
  EXPECT_TRUE(conn_.pause());
  EXPECT_TRUE(conn_.resume()) << "there is nothing to read any more, and that is no fault";
  EXPECT_TRUE(conn_.send("last"));
  EXPECT_TRUE(conn_.close());
  EXPECT_EQ(client.receive_all(), "last");
  ASSERT_TRUE(closed_.wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "ended", "wake", "closed"}));
}

TEST_P(HalfOpenTest, WithoutACallbackTheEndIsIgnored) {
  Events handlers = noting();
  handlers.ended = nullptr;
  TestServer server(handlers, address());
  Client client = connect(server);
  client.send_all("x");
  client.shutdown_write();
  EXPECT_TRUE(received_.wait_for(1));
  EXPECT_TRUE(all_sleep()) << "something spins";
  EXPECT_TRUE(conn_.send("answer"));
  EXPECT_EQ(client.receive(6), "answer");
  EXPECT_TRUE(conn_.close());
  EXPECT_EQ(client.receive_all(), "");
}

TEST_P(HalfOpenTest, ItComesBehindOutputThatWaits) {
  for (const bool reads : {false, true}) {
    SCOPED_TRACE(reads);
    TestServer server(noting({.read_while_pending = reads, .half_open = true}, pattern(kMoreThanSocketsHold)),
                      address());
    Client client(server.addr(), kSmall);
    ASSERT_TRUE(log_.wait_for("opened", reads ? 2 : 1));
    client.shutdown_write();
    if (reads) {
      EXPECT_TRUE(log_.wait_for("ended", 2)) << "it is read while output waits";
    } else {
      ASSERT_TRUE(all_sleep());
      EXPECT_EQ(log_.count("ended"), 0u);
    }
    EXPECT_TRUE(client.receive(kMoreThanSocketsHold) == pattern(kMoreThanSocketsHold));
    EXPECT_TRUE(log_.wait_for("ended", reads ? 2 : 1));
    EXPECT_TRUE(conn_.send("still open"));
    EXPECT_EQ(client.receive(10), "still open");
  }
}

TEST_P(HalfOpenTest, ClosesWithoutAnErrorOnceBothSidesHaveEndedThePeerFirst) {
  const std::string large = pattern(kMoreThanSocketsHold);
  TestServer server(noting(), address());
  Client client = connect(server, kSmall);
  client.shutdown_write();
  ASSERT_TRUE(log_.wait_for("ended"));
  EXPECT_TRUE(conn_.send(large));
  EXPECT_TRUE(conn_.close_write());
  EXPECT_TRUE(all_sleep()) << "something spins";
  EXPECT_EQ(log_.count("closed"), 0u) << "its output is pending";
  EXPECT_TRUE(client.receive_all() == large);
  EXPECT_TRUE(client.at_end()) << client.error().message();
  ASSERT_TRUE(closed_.wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "ended", "closed"}));
}

TEST_P(HalfOpenTest, ClosesWithoutAnErrorOnceBothSidesHaveEndedThisFirst) {
  TestServer server(noting(), address());
  Client client = connect(server);
  EXPECT_TRUE(conn_.send("last"));
  EXPECT_TRUE(conn_.close_write());
  EXPECT_EQ(client.receive_all(), "last");
  EXPECT_TRUE(all_sleep()) << "something spins";
  EXPECT_EQ(log_.all(), EventLog::List{"opened"});
  client.send_all("input goes on");
  EXPECT_TRUE(received_.wait_for(13));
  EXPECT_TRUE(conn_.wake());
  ASSERT_TRUE(log_.wait_for("wake"));
  expected_ = 13;
  client.shutdown_write();
  ASSERT_TRUE(closed_.wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "wake", "ended", "closed"}));
}

TEST_P(HalfOpenTest, CloseWriteNeedsNoHalfOpen) {
  TestServer server(noting({}), address());
  Client client = connect(server);
  EXPECT_TRUE(conn_.close_write());
  EXPECT_EQ(client.receive_all(), "");
  client.send_all("input goes on");
  EXPECT_TRUE(received_.wait_for(13));
  EXPECT_TRUE(all_sleep()) << "something spins";
  client.shutdown_write();
  ASSERT_TRUE(closed_.wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "closed"}));
}

TEST_P(HalfOpenTest, CloseWriteEndsThisSideBehindAllOutputSoFarAndDropsWhatIsLater) {
  const std::string large = pattern(kMoreThanSocketsHold);
  Events handlers = noting();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    received_.add(in.size());
    out = received_.value() == 1 ? large : "later";
    if (received_.value() == 1) {
      EXPECT_TRUE(conn.send("sent "));
      EXPECT_TRUE(conn.close_write());
      EXPECT_FALSE(conn.close_write()) << "a second call";
      EXPECT_FALSE(conn.send("refused"));
      EXPECT_FALSE(conn.send(large));
      EXPECT_FALSE(conn.send(""));
    }
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = connect(server, kSmall);
  client.send_all("1");
  EXPECT_EQ(client.receive(5), "sent ");
  EXPECT_FALSE(conn_.close_write());
  EXPECT_FALSE(conn_.send("refused"));
  Gate ran;
  EXPECT_TRUE(conn_.post([&](Conn&, Output& out) {
    out = "later";
    ran.open();
    return Action::None;
  })) << "posts go on";
  EXPECT_TRUE(ran.wait());
  EXPECT_TRUE(client.receive_all() == large);
  EXPECT_TRUE(client.at_end());
  client.send_all("2");
  EXPECT_TRUE(received_.wait_for(2));
  EXPECT_TRUE(eventually([&] { return conn_.pending() == 0; }));
  expected_ = 2;
  client.shutdown_write();
  ASSERT_TRUE(closed_.wait());
}

TEST_P(HalfOpenTest, CloseWriteOfAnotherThreadHoldsForWhatComesAfterIt) {
  Events handlers = noting();
  handlers.data = [&](Conn&, const Bytes& in, Output& out) {
    received_.add(in.size());
    out = "later";
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = connect(server);
  expected_ = 1;
  EXPECT_TRUE(conn_.send("sent"));
  EXPECT_TRUE(conn_.close_write());
  client.send_all("x");
  EXPECT_EQ(client.receive_all(), "sent");
  EXPECT_TRUE(received_.wait_for(1));
}

TEST_P(HalfOpenTest, OneOfManyEndsIt) {
  TestServer server(noting(), address());
  for (std::size_t round = 1; round != 20; ++round) {
    Client client = server.connect();
    ASSERT_TRUE(log_.wait_for("opened", round));
    std::atomic<int> first{0};
    std::atomic<std::size_t> sent{0};
    std::vector<std::thread> threads;
    for (int i = 0; i != 4; ++i) {
      threads.emplace_back([&] {
        while (conn_.send("xxx")) {
          sent += 3;
          if (sent > 100) first += conn_.close_write() ? 1 : 0;
        }
      });
    }
    const std::string got = client.receive_all();
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(first, 1);
    EXPECT_EQ(got.size(), sent) << "what was taken arrives, what was refused does not";
  }
}

TEST_P(HalfOpenTest, APeerThatResetsAfterItsEndClosesItWithItsError) {
  if (!mode().is_tcp()) return;  // a unix socket has no reset
  for (const bool with_output : {false, true}) {
    SCOPED_TRACE(with_output);
    TestServer server(noting(kHalfOpen, with_output ? pattern(kMoreThanSocketsHold) : ""), address());
    Client client(server.addr(), kSmall);
    ASSERT_TRUE(log_.wait_for("opened", with_output ? 2 : 1));
    client.shutdown_write();
    if (!with_output) {
      ASSERT_TRUE(log_.wait_for("ended"));
    }
    EXPECT_TRUE(all_sleep());
    client.reset();
    ASSERT_TRUE(log_.wait_for("failed", with_output ? 2 : 1));
    EXPECT_FALSE(conn_.send("x"));
  }
}

TEST_P(HalfOpenTest, AFailedWriteClosesItWithItsError) {
  TestServer server(noting(), address());
  Client client = connect(server);
  client.close();
  // A unix peer is known to be gone, over tcp the first write finds out.
  ASSERT_TRUE(log_.wait_for("ended"));
  while (conn_.send("anyone?")) std::this_thread::yield();
  ASSERT_TRUE(closed_.wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "ended", "failed"}));
  EXPECT_NE(message_, "");
}

TEST_P(HalfOpenTest, APeerThatResetsClosesItWithoutEnded) {
  if (!mode().is_tcp()) return;
  TestServer server(noting(), address());
  Client client = connect(server);
  EXPECT_TRUE(conn_.close_write());
  EXPECT_EQ(client.receive_all(), "");
  client.reset();
  ASSERT_TRUE(closed_.wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "failed"}));
}

TEST_P(HalfOpenTest, CloseOfEndedClosesIt) {
  Events handlers = noting();
  handlers.ended = [&](Conn& conn, Output& out) {
    out = pattern(kMoreThanSocketsHold);
    log_.add(conn, "ended");
    return Action::Close;
  };
  TestServer server(handlers, address());
  Client client = connect(server, kSmall);
  client.shutdown_write();
  EXPECT_TRUE(client.receive_all() == pattern(kMoreThanSocketsHold));
  EXPECT_TRUE(client.at_end());
  ASSERT_TRUE(closed_.wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "ended", "closed"}));
}

TEST_P(HalfOpenTest, AnExceptionOfEndedClosesItWithItsMessage) {
  Events handlers = noting();
  handlers.ended = [](Conn& conn, Output& out) -> Action {
    EXPECT_TRUE(conn.send("sent"));
    out = "dropped";
    throw std::runtime_error("not an end");
  };
  TestServer server(handlers, address());
  Client client = connect(server);
  client.shutdown_write();
  EXPECT_EQ(client.receive_all(), "sent");
  ASSERT_TRUE(closed_.wait());
  EXPECT_EQ(message_, "not an end");
}

TEST_P(HalfOpenTest, ACloseBehindCloseWriteSendsAllAndClosesIt) {
  const std::string large = pattern(kMoreThanSocketsHold);
  TestServer server(noting(), address());
  Client client = connect(server, kSmall);
  EXPECT_TRUE(conn_.send(large));
  EXPECT_TRUE(conn_.close_write());
  EXPECT_TRUE(conn_.close());
  EXPECT_FALSE(conn_.close_write());
  EXPECT_TRUE(client.receive_all() == large);
  EXPECT_TRUE(client.at_end());
  ASSERT_TRUE(closed_.wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "closed"}));
}

TEST_P(HalfOpenTest, AnAbortBehindEitherEndClosesIt) {
  for (const bool peer : {false, true}) {
    SCOPED_TRACE(peer);
    TestServer server(noting(), address());
    Client client = server.connect();
    ASSERT_TRUE(log_.wait_for("opened", peer ? 2 : 1));
    if (peer) {
      client.shutdown_write();
      ASSERT_TRUE(log_.wait_for("ended"));
    } else {
      EXPECT_TRUE(conn_.close_write());
      EXPECT_EQ(client.receive_all(), "");
    }
    EXPECT_TRUE(conn_.abort());
    ASSERT_TRUE(log_.wait_for("failed", peer ? 2 : 1));
    EXPECT_EQ(message_, "aborted");
  }
}

TEST_P(HalfOpenDetachTest, ADetachedSocketIsHalfOpenToo) {
  Gate detached;
  DetachedConn kept;
  Events handlers = noting();
  handlers.ended = [](Conn&, Output& out) {
    out = "answer, ";
    return Action::Detach;
  };
  handlers.detached = [&](Conn&, DetachedConn rwc) {
    kept = std::move(rwc);
    detached.open();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = connect(server);
  client.shutdown_write();
  ASSERT_TRUE(detached.wait());
  Error err;
  std::string room(10, '\0');
  EXPECT_EQ(kept.read(room, err), 0u);
  EXPECT_FALSE(err) << err.message();
  kept.write("written", err);
  EXPECT_FALSE(err) << err.message();
  EXPECT_FALSE(kept.close());
  EXPECT_EQ(client.receive_all(), "answer, written");
}

TEST_P(HalfOpenDetachTest, ADetachedSocketHasEndedIfThatWasAsked) {
  const std::string large = pattern(kMoreThanSocketsHold);
  Gate detached;
  DetachedConn kept;
  Events handlers = noting();
  handlers.data = [&](Conn& conn, const Bytes&, Output& out) {
    EXPECT_TRUE(conn.close_write());
    out = large;
    return Action::Detach;
  };
  handlers.detached = [&](Conn&, DetachedConn rwc) {
    kept = std::move(rwc);
    detached.open();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = connect(server, kSmall);
  client.send_all("x");
  EXPECT_TRUE(client.receive_all() == large);
  EXPECT_TRUE(client.at_end());
  ASSERT_TRUE(detached.wait());
  client.send_all("input");
  std::string room(5, '\0');
  Error err;
  EXPECT_EQ(kept.read(room, err), 5u) << err.message();
}

TEST_P(HalfOpenTest, AShutdownSendsWhatIsPendingAndClosesBothKinds) {
  const std::string large = pattern(kMoreThanSocketsHold);
  Events handlers = noting(kHalfOpen);
  handlers.drain_timeout = kPatience;
  TestServer server(handlers, address());
  Client ended = connect(server, kSmall);
  ended.shutdown_write();
  ASSERT_TRUE(log_.wait_for("ended"));
  EXPECT_TRUE(conn_.send(large));
  Client ending(server.addr(), kSmall);
  ASSERT_TRUE(log_.wait_for("opened", 2));
  EXPECT_TRUE(conn_.send(large));
  EXPECT_TRUE(conn_.close_write());
  server.shutdown();
  EXPECT_TRUE(ended.receive_all() == large);
  EXPECT_TRUE(ending.receive_all() == large);
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(log_.count("closed"), 2u);
}

TEST_P(HalfOpenTest, ThisSideMayEndWhilePaused) {
  TestServer server(noting(), address());
  Client client = connect(server);
  EXPECT_TRUE(conn_.pause());
  EXPECT_TRUE(conn_.send("last"));
  EXPECT_TRUE(conn_.close_write());
  EXPECT_EQ(client.receive_all(), "last");
  client.send_all("x");
  client.shutdown_write();
  EXPECT_TRUE(all_sleep()) << "both have ended, which poll(2) reports whatever it is asked for";
  EXPECT_EQ(log_.all(), EventLog::List{"opened"});
  expected_ = 1;
  EXPECT_TRUE(conn_.resume());
  ASSERT_TRUE(closed_.wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "ended", "closed"}));
}

}  // namespace
}  // namespace evio::test
