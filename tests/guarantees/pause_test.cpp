// Guarantee 21, of input: pause, resume, and what is read while output waits. Turn by turn:
// unit/stream/stream_pause_test.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>

#include "tests/support/enough.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

class PauseTest : public ModeTest {
 protected:
  static constexpr std::size_t kMoreThanSocketsHold = 8'000'000;
  static constexpr Client::Tuning kSmall{.receive_buffer = 131'072};

  // Notes everything, and keeps the connection and its input.
  Events noting(Options options = {}, std::string welcome = "") {
    Events handlers = events();
    note_all(handlers, log_);
    handlers.opened = [this, options, welcome](Conn& conn, Output& out, Options& opts) {
      conn_ = conn;
      opts = options;
      out = welcome;
      log_.add(conn, "opened");
      return Action::None;
    };
    handlers.data = [this](Conn& conn, const Bytes& in, Output&) {
      {
        const std::lock_guard lock(mutex_);
        input_ += in.view();
      }
      log_.add(conn, in.empty() ? "wake" : "data");
      received_.add(in.size());
      return Action::None;
    };
    handlers.ended = [this](Conn& conn, Output&) {
      log_.add(conn, "ended");
      return Action::None;
    };
    handlers.closed = [this](Conn& conn, const Error& err) {
      log_.add(conn, err ? "closed: " + err.message() : "closed");
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
  std::string input() const {
    const std::lock_guard lock(mutex_);
    return input_;
  }
  // The loop has been through a whole turn since this was called.
  void pass_a_turn() {
    for (int i = 0; i != 2; ++i) {
      Gate ran;
      ASSERT_TRUE(conn_.post([&](Conn&, Output&) {
        ran.open();
        return Action::None;
      }));
      ASSERT_TRUE(ran.wait());
    }
  }
  void end_while_paused(Client& client) {
    EXPECT_TRUE(conn_.pause());
    client.send_all("last words");
    client.shutdown_write();
    EXPECT_TRUE(all_sleep()) << "something spins";
    EXPECT_EQ(log_.all(), EventLog::List{"opened"});
    EXPECT_TRUE(conn_.resume());
  }
  void reset_while_paused(Client client) {
    EXPECT_TRUE(conn_.pause());
    client.send_all("last words");
    client.wait_for_arrival();
    pass_a_turn();  // it is watched for failure alone
    client.reset();
    ASSERT_TRUE(closed_.wait()) << "the reset was not noticed";
    EXPECT_EQ(input(), "last words");
    EXPECT_EQ(log_.all().size(), 3u);
    EXPECT_TRUE(last().starts_with("closed: ")) << last();
  }
  std::string last() const { return log_.all().back(); }

  EventLog log_;
  Conn conn_;  // once "opened" is noted
  Counter received_;
  Gate closed_;

 private:
  mutable std::mutex mutex_;
  std::string input_;
};
EVIO_INSTANTIATE(PauseTest, with_tls(all_modes()));

// Of TLS, Detach is an error, and an end that waits is no end of the socket.
class PlainPauseTest : public PauseTest {};
EVIO_INSTANTIATE(PlainPauseTest, all_modes());

TEST_P(PauseTest, WhatIsSentAfterItReturnedIsNotDelivered) {
  TestServer server(noting(), address());
  Client client = connect(server);
  const Enough enough(300);
  std::size_t sent = 0;
  for (std::uint64_t i = 0; !enough.reached(i); ++i) {
    EXPECT_TRUE(conn_.pause());
    client.send_all("x");
    client.wait_for_arrival();
    pass_a_turn();
    ASSERT_EQ(received_.value(), sent);
    EXPECT_TRUE(conn_.resume());
    ASSERT_TRUE(received_.wait_for(++sent));
  }
}

TEST_P(PauseTest, CostsNothingWhileInputWaits) {
  TestServer server(noting(), address());
  Client client = connect(server);
  EXPECT_TRUE(conn_.pause());
  client.send_all("hello");
  EXPECT_TRUE(all_sleep()) << "something spins";
  EXPECT_EQ(received_.value(), 0u);
  EXPECT_TRUE(conn_.resume());
  EXPECT_TRUE(received_.wait_for(5));
  EXPECT_EQ(input(), "hello");
}

TEST_P(PauseTest, OfOpenedHoldsFromTheBeginning) {
  Events handlers = noting();
  handlers.opened = [this](Conn& conn, Output& out, Options&) {
    conn_ = conn;
    EXPECT_TRUE(conn.pause());
    out = "welcome";
    log_.add(conn, "opened");
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("hello");
  EXPECT_EQ(client.receive(7), "welcome");
  EXPECT_TRUE(all_sleep()) << "something spins";
  EXPECT_EQ(received_.value(), 0u);
  EXPECT_TRUE(conn_.resume());
  EXPECT_TRUE(received_.wait_for(5));
}

TEST_P(PauseTest, OfDataHoldsForTheNextRead) {
  Events handlers = noting();
  handlers.data = [this](Conn& conn, const Bytes& in, Output& out) {
    received_.add(in.size());
    EXPECT_TRUE(conn.pause());
    out = in;
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = connect(server);
  for (std::size_t i = 1; i != 20; ++i) {
    client.send_all("x");
    EXPECT_EQ(client.receive(1), "x");
    client.send_all("y");
    client.wait_for_arrival();
    pass_a_turn();
    EXPECT_EQ(received_.value(), 2 * i - 1);
    EXPECT_TRUE(conn_.resume());
    EXPECT_EQ(client.receive(1), "y");
    EXPECT_TRUE(conn_.resume());
  }
}

TEST_P(PauseTest, TheLastCallWins) {
  TestServer server(noting(), address());
  Client client = connect(server);
  for (int i = 0; i != 3; ++i) EXPECT_TRUE(conn_.pause());
  EXPECT_TRUE(conn_.resume());
  client.send_all("one");
  EXPECT_TRUE(received_.wait_for(3)) << "it is a flag, not a count";
  for (int i = 0; i != 3; ++i) EXPECT_TRUE(conn_.resume());
  EXPECT_TRUE(conn_.pause());
  client.send_all("two");
  EXPECT_TRUE(all_sleep());
  EXPECT_EQ(received_.value(), 3u);
  Gate ran;
  EXPECT_TRUE(conn_.post([&](Conn& conn, Output&) {
    EXPECT_TRUE(conn.resume());
    EXPECT_TRUE(conn.pause());
    EXPECT_TRUE(conn.resume());
    ran.open();
    return Action::None;
  }));
  EXPECT_TRUE(ran.wait());
  EXPECT_TRUE(received_.wait_for(6));
}

TEST_P(PauseTest, LosesNothingHoweverOftenItComes) {
  TestServer server(noting(), address());
  Client client = connect(server);
  const std::string text = pattern(3'000'000);
  std::atomic<bool> over{false};
  std::thread toggler([&] {
    while (!over) {
      conn_.pause();
      conn_.resume();
    }
    conn_.resume();
  });
  EXPECT_TRUE(client.send_all(text));
  EXPECT_TRUE(received_.wait_for(text.size()));
  over = true;
  toggler.join();
  EXPECT_TRUE(input() == text);
}

TEST_P(PauseTest, ThePeersEndIsNotReadEither) {
  TestServer server(noting(), address());
  Client client = connect(server);
  end_while_paused(client);
  ASSERT_TRUE(log_.wait_for("closed"));
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "data", "closed"}));
}

TEST_P(PauseTest, NorIsItTold) {
  TestServer server(noting({.half_open = true}), address());
  Client client = connect(server);
  end_while_paused(client);
  ASSERT_TRUE(log_.wait_for("ended"));
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "data", "ended"}));
}

TEST_P(PauseTest, PostsWakesOutputAndTimeoutsGoOn) {
  Events handlers = noting({.high_water = 1'000}, pattern(kMoreThanSocketsHold));
  handlers.timeout = [this](Conn& conn, Timeout what, Output& out) {
    EXPECT_EQ(what, Timeout::Deadline);
    log_.add(conn, "timeout");
    out = "late";
    return Action::None;
  };
  handlers.drained = [this](Conn& conn, Output&) {
    log_.add(conn, "drained");
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = connect(server, kSmall);
  EXPECT_TRUE(conn_.pause());
  client.send_all("waits");
  EXPECT_TRUE(client.receive(kMoreThanSocketsHold) == pattern(kMoreThanSocketsHold));
  EXPECT_TRUE(log_.wait_for("drained"));
  EXPECT_TRUE(conn_.send("sent"));
  EXPECT_EQ(client.receive(4), "sent");
  EXPECT_TRUE(conn_.wake());
  EXPECT_TRUE(log_.wait_for("wake"));
  EXPECT_TRUE(conn_.post([](Conn&, Output& out) {
    out = "posted";
    return Action::None;
  }));
  EXPECT_EQ(client.receive(6), "posted");
  EXPECT_TRUE(conn_.expires_after(1ms));
  EXPECT_EQ(client.receive(4), "late");
  EXPECT_EQ(received_.value(), 0u);
  EXPECT_TRUE(conn_.resume());
  EXPECT_TRUE(received_.wait_for(5));
}

// A reset of a unix socket is a close.
TEST_P(PauseTest, AResetIsNoticedAndWhatHadArrivedIsDeliveredBefore) {
  if (!mode().is_tcp()) return;
  TestServer server(noting({.half_open = true}), address());
  reset_while_paused(connect(server));
}

TEST_P(PauseTest, AResetIsNoticedWhileOutputWaits) {
  if (!mode().is_tcp()) return;
  TestServer server(noting({.read_while_pending = true, .half_open = true}, pattern(kMoreThanSocketsHold)), address());
  reset_while_paused(connect(server, kSmall));
}

TEST_P(PlainPauseTest, APeerThatIsGoneCostsNothingAndIsHeardOfLater) {
  TestServer server(noting(), address());
  Client client = connect(server);
  EXPECT_TRUE(conn_.pause());
  client.send_all("last words");
  client.close();
  EXPECT_TRUE(all_sleep()) << "something spins";
  for (int i = 0; i != 3; ++i) {
    pass_a_turn();
    EXPECT_TRUE(all_sleep()) << "something spins again";
  }
  EXPECT_EQ(log_.all(), EventLog::List{"opened"});
  EXPECT_TRUE(conn_.resume());
  ASSERT_TRUE(closed_.wait());
  EXPECT_EQ(input(), "last words");
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "data", "closed"}));
}

// What is written then fails, or not, as the kernel sees it; what had come is delivered in any case.
TEST_P(PauseTest, OutputForAPeerThatIsGoneClosesItBehindItsInput) {
  TestServer server(noting(), address());
  Client client = connect(server);
  EXPECT_TRUE(conn_.pause());
  client.send_all("last words");
  client.close();
  ASSERT_TRUE(all_sleep());
  while (conn_.send("anyone?")) {
    if (conn_.post([](Conn&, Output&) { return Action::None; })) std::this_thread::yield();
  }
  ASSERT_TRUE(closed_.wait());
  EXPECT_EQ(input(), "last words");
  EXPECT_TRUE(last().starts_with("closed: ")) << last();
}

TEST_P(PauseTest, ClosesAsEverWithAPeerThatStillSends) {
  const std::string reply = pattern(kMoreThanSocketsHold);
  TestServer server(noting({}, reply), address());
  Client client = connect(server, kSmall);
  EXPECT_TRUE(conn_.pause());
  std::thread sender([&] { client.send_all(pattern(2'000'000)); });  // more than the server's socket holds, perhaps
  EXPECT_TRUE(conn_.close());
  EXPECT_FALSE(conn_.pause());
  EXPECT_FALSE(conn_.resume());
  EXPECT_TRUE(client.receive_all() == reply);
  sender.join();
  ASSERT_TRUE(closed_.wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "closed"}));
}

TEST_P(PauseTest, AnAbortEndsIt) {
  TestServer server(noting(), address());
  Client client = connect(server);
  EXPECT_TRUE(conn_.pause());
  client.send_all("unread");
  EXPECT_TRUE(all_sleep());
  EXPECT_TRUE(conn_.abort());
  ASSERT_TRUE(closed_.wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "closed: aborted"}));
  EXPECT_EQ(client.receive_all(), "");
}

TEST_P(PlainPauseTest, ADetachedSocketHasTheInputThatWaited) {
  Events handlers = noting();
  Gate detached;
  DetachedConn kept;
  handlers.detached = [&](Conn&, DetachedConn rwc) {
    kept = std::move(rwc);
    detached.open();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = connect(server);
  EXPECT_TRUE(conn_.pause());
  client.send_all("input");
  client.wait_for_arrival();
  ASSERT_TRUE(all_sleep());
  EXPECT_TRUE(conn_.post([](Conn&, Output& out) {
    out = "bye";
    return Action::Detach;
  }));
  ASSERT_TRUE(detached.wait());
  EXPECT_EQ(client.receive(3), "bye");
  std::string read(5, '\0');
  Error err;
  EXPECT_EQ(kept.read(read, err), 5u) << err.message();
  EXPECT_EQ(read, "input");
  EXPECT_EQ(received_.value(), 0u);
}

TEST_P(PauseTest, AShutdownClosesItAndSendsItsOutput) {
  Events handlers = noting({}, pattern(kMoreThanSocketsHold));
  handlers.drain_timeout = kPatience;
  TestServer server(handlers, address());
  Client client = connect(server, kSmall);
  Client gone = server.connect();
  ASSERT_TRUE(log_.wait_for("opened", 2));
  EXPECT_TRUE(conn_.pause());
  gone.close();
  server.shutdown();
  EXPECT_EQ(client.receive_all().size(), kMoreThanSocketsHold);
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(log_.all().size(), 4u);
}

TEST_P(PauseTest, InputIsReadWhileOutputWaitsIfThatIsAsked) {
  TestServer server(noting({.read_while_pending = true}, pattern(kMoreThanSocketsHold)), address());
  Client client = connect(server, kSmall);
  const std::string text = pattern(1'000'000, 2);
  EXPECT_TRUE(client.send_all(text));
  EXPECT_TRUE(received_.wait_for(text.size()));
  EXPECT_TRUE(input() == text);
  EXPECT_GT(conn_.pending(), 0u);
  EXPECT_TRUE(all_sleep()) << "something spins";
  // And not while it is paused.
  EXPECT_TRUE(conn_.pause());
  client.send_all("more");
  EXPECT_TRUE(all_sleep()) << "something spins";
  EXPECT_EQ(received_.value(), text.size());
  EXPECT_TRUE(conn_.resume());
  EXPECT_TRUE(received_.wait_for(text.size() + 4));
  EXPECT_EQ(client.receive(kMoreThanSocketsHold).size(), kMoreThanSocketsHold);
}

TEST_P(PauseTest, AnEndThatIsReadWhileOutputWaitsClosesItBehindThat) {
  TestServer server(noting({.read_while_pending = true}, pattern(kMoreThanSocketsHold)), address());
  Client client = connect(server, kSmall);
  client.send_all("last words");
  client.shutdown_write();
  EXPECT_TRUE(received_.wait_for(10));
  EXPECT_TRUE(eventually([&] { return !conn_.wake(); })) << "its end is not read";
  EXPECT_TRUE(all_sleep()) << "something spins";
  EXPECT_EQ(log_.count("closed"), 0u);
  EXPECT_TRUE(client.receive_all() == pattern(kMoreThanSocketsHold));
  ASSERT_TRUE(closed_.wait());
  EXPECT_EQ(last(), "closed");
}

}  // namespace
}  // namespace evio::test
