// Guarantee 18: functions that are posted to a connection, or to a loop.
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/guarantees/functions_fixture.hpp"
#include "tests/support/datagram_client.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

class PostTest : public FunctionsTest {
 protected:
  // The function is passed, and what became of it is noted.
  template <class F>
  bool post(Fate& fate, F f) {
    return conn_.post([token = fate.token(), f = std::move(f)](Conn& conn, Output& out) mutable {
      token.run();
      return f(conn, out);
    });
  }
  bool post(Fate& fate) { return post(fate, says("")); }
  void expect_refused() const;
};
EVIO_INSTANTIATE(PostTest, with_tls(all_modes()));

// Detach is an error over TLS: TlsTest.DetachIsAnError.
class PostDetachTest : public PostTest {};
EVIO_INSTANTIATE(PostDetachTest, all_modes());

// False, a Timer of nothing, and the function is destroyed in the call.
void PostTest::expect_refused() const {
  Fate posted;
  Fate timed;
  EXPECT_FALSE(conn_.post([token = posted.token()](Conn&, Output&) { return Action::None; }));
  EXPECT_EQ(posted.ends(), 1u);
  EXPECT_EQ(posted.where(), std::this_thread::get_id());
  const Timer timer = conn_.post_after(0ns, [token = timed.token()](Conn&, Output&) { return Action::None; });
  EXPECT_EQ(timed.ends(), 1u);
  EXPECT_EQ(timed.where(), std::this_thread::get_id());
  EXPECT_FALSE(timer.cancel());
}

// ---- f runs on the connection's loop as data would.

TEST_P(PostTest, RunsOnItsConnectionsLoopWithAnEmptyOutput) {
  serve();
  Client client = connect();
  Gate over;
  EXPECT_TRUE(conn_.post([&](Conn& conn, Output& out) {
    EXPECT_EQ(std::this_thread::get_id(), thread_);
    EXPECT_EQ(conn, conn_);
    EXPECT_TRUE(out.empty());
    EXPECT_GE(conn.native_handle(), 0);
    over.open();
    return Action::None;
  }));
  EXPECT_TRUE(over.wait());
}

TEST_P(PostTest, ItsOutputIsAnnouncedAndSentAsDatas) {
  Events events = handlers();
  Counter announced;
  events.pre_write = [&] { announced.add(); };
  serve(std::move(events));
  Client client = connect();
  const std::size_t before = announced.value();
  EXPECT_TRUE(conn_.post(says("posted")));
  EXPECT_EQ(client.receive(6), "posted");
  EXPECT_EQ(announced.value(), before + 1);
}

TEST_P(PostTest, ItsCloseCloses) {
  serve();
  Client client = connect();
  EXPECT_TRUE(conn_.post(says("last", Action::Close)));
  EXPECT_EQ(client.receive_all(), "last");
  EXPECT_TRUE(log_.wait_for("closed"));
}

TEST_P(PostDetachTest, ItsDetachDetaches) {
  Events events = handlers();
  events.detached = [&](Conn&, DetachedConn) {
    log_.add("detached");
    return Action::None;
  };
  serve(std::move(events));
  Client client = connect();
  EXPECT_TRUE(conn_.post(says("last", Action::Detach)));
  EXPECT_EQ(client.receive_all(), "last");
  EXPECT_TRUE(log_.wait_for("detached"));
  EXPECT_EQ(log_.count("closed"), 0u);
}

TEST_P(PostTest, ItsShutdownShutsDown) {
  serve();
  Client client = connect();
  EXPECT_TRUE(conn_.post(says("last", Action::Shutdown)));
  EXPECT_EQ(client.receive_all(), "last");
  EXPECT_FALSE(server_->wait());
}

TEST_P(PostTest, ItsExceptionClosesItsConnectionAndDropsItsOutputAlone) {
  serve();
  Client client = connect();
  Client other = connect();
  Fate fate;
  EXPECT_TRUE(post(fate, [](Conn& conn, Output& out) -> Action {
    conn.send("sent");
    out = "added";
    throw std::runtime_error("thrown");
  }));
  EXPECT_EQ(client.receive_all(), "sent");
  EXPECT_TRUE(log_.wait_for("closed: thrown"));
  EXPECT_EQ(fate.ends(), 1u);
  EXPECT_EQ(fate.where(), thread_);
  EXPECT_FALSE(server_->returned());
  EXPECT_TRUE(other.is_quiet());
}

TEST_P(PostTest, MayBeMoveOnly) {
  serve();
  Client client = connect();
  EXPECT_TRUE(conn_.post([text = std::make_unique<std::string>("moved")](Conn&, Output& out) {
    out = *text;
    return Action::None;
  }));
  EXPECT_EQ(client.receive(5), "moved");
}

TEST_P(PostTest, NoneRunsInlineSoALockMayBeHeld) {
  serve();
  Client client = connect();
  std::mutex mutex;
  const auto locking = [&](Conn&, Output& out) {
    const std::lock_guard lock(mutex);
    out = "x";
    return Action::None;
  };
  data_ = [&](Conn& conn, const Bytes&, Output&) {
    const std::lock_guard lock(mutex);
    EXPECT_TRUE(conn.post(locking));
    conn.post_after(0ns, locking);
    return Action::None;
  };
  EXPECT_TRUE(client.send_all("go"));
  EXPECT_EQ(client.receive(2), "xx");
}

// ---- In what order.

// What each callback of a connection does here.
void sends_and_posts(Conn& conn, Output& out) {
  EXPECT_TRUE(conn.send("a"));
  EXPECT_TRUE(conn.post(says("1")));
  EXPECT_TRUE(conn.send(std::string(20'000, 'b')));
  EXPECT_TRUE(conn.post([](Conn& c, Output& o) {
    EXPECT_TRUE(c.send("c"));
    o = "2";
    return Action::None;
  }));
  EXPECT_TRUE(conn.send("d"));
  out = "o";
}

TEST_P(PostTest, InAnOwnCallbackSendsLeaveFirstThenOutThenPostsRunInOrder) {
  const std::string expected = "a" + std::string(20'000, 'b') + "do1c2";
  data_ = [&](Conn& conn, const Bytes&, Output& out) {
    sends_and_posts(conn, out);
    return Action::None;
  };
  Events events = handlers();
  events.opened = [opened = std::move(events.opened)](Conn& conn, Output& out, Options& options) {
    opened(conn, out, options);
    sends_and_posts(conn, out);
    return Action::None;
  };
  serve(std::move(events));
  Client client(server_->addr());
  EXPECT_TRUE(client.receive(expected.size()) == expected) << "opened";
  EXPECT_TRUE(client.send_all("go"));
  EXPECT_TRUE(client.receive(expected.size()) == expected) << "data";
  EXPECT_TRUE(conn_.wake());
  EXPECT_TRUE(client.receive(expected.size()) == expected) << "a wake";
  const auto function = [](Conn& conn, Output& out) {
    sends_and_posts(conn, out);
    return Action::None;
  };
  EXPECT_TRUE(conn_.post(function));
  EXPECT_TRUE(client.receive(expected.size()) == expected) << "a function";
  conn_.post_after(1ms, function);
  EXPECT_TRUE(client.receive(expected.size()) == expected) << "a timer";
  EXPECT_TRUE(conn_.post(says("", Action::Close)));
  EXPECT_EQ(client.receive_all(), "");
}

TEST_P(PostTest, OfAnotherThreadRunInTheOrderOfItsCalls) {
  data_ = [](Conn&, const Bytes& in, Output& out) {
    out = in.empty() ? "w" : "data";
    return Action::None;
  };
  serve();
  Client client = connect();
  block(client);
  EXPECT_TRUE(conn_.send("a"));
  EXPECT_TRUE(conn_.post(says("1")));
  EXPECT_TRUE(conn_.send("b"));
  EXPECT_TRUE(conn_.post(says("2")));
  EXPECT_TRUE(conn_.wake());
  EXPECT_TRUE(conn_.post(says("3")));
  EXPECT_TRUE(conn_.send("c"));
  EXPECT_TRUE(conn_.post(says("4")));
  EXPECT_TRUE(client.send_all("input"));  // which finds all of that still to be done
  client.wait_for_arrival();
  go_.open();
  EXPECT_EQ(client.receive(12), "a1b2w3c4data");
}

TEST_P(PostTest, OfAnotherConnectionsCallbackKeepTheOrderOfItsCalls) {
  if (loops() != 1) GTEST_SKIP() << "both are to be on one loop";
  data_ = [this](Conn& conn, const Bytes&, Output& out) {
    if (conn == conn_) {  // data is called for that wake alone
      out = "w";
      return Action::None;
    }
    EXPECT_TRUE(conn_.send("a"));
    EXPECT_TRUE(conn_.post(says("1")));
    EXPECT_TRUE(conn_.send("b"));
    EXPECT_TRUE(conn_.post(says("2")));
    EXPECT_TRUE(conn_.send(std::string(20'000, 'c')));
    EXPECT_TRUE(conn_.wake());
    EXPECT_TRUE(conn_.post(says("3")));
    return Action::None;
  };
  serve();
  Client client = connect();
  Client other = connect();
  EXPECT_TRUE(other.send_all("go"));
  EXPECT_TRUE(client.receive(20'006) == "a1b2" + std::string(20'000, 'c') + "w3");
}

TEST_P(PostTest, BehindAWakeOfTheSameCallbackRunsBehindItsData) {
  data_ = [](Conn& conn, const Bytes& in, Output& out) {
    if (in.empty()) {
      out = "w";
      return Action::None;
    }
    EXPECT_TRUE(conn.post(says("1")));
    EXPECT_TRUE(conn.wake());
    EXPECT_TRUE(conn.post(says("2")));
    EXPECT_TRUE(conn.wake());
    EXPECT_TRUE(conn.post(says("3")));
    out = "o";
    return Action::None;
  };
  serve();
  Client client = connect();
  EXPECT_TRUE(client.send_all("go"));
  const std::string received = client.receive(5);
  EXPECT_TRUE(received == "o1w23" || received == "o1w2w") << received;  // the wakes may be one call
}

// Each thread's sends, posts and wakes arrive in its own order, and none is lost.
TEST_P(PostTest, OfFourThreadsAtOnceKeepEachThreadsOrder) {
  constexpr int kThreads = 4;
  constexpr int kCalls = kSanitized ? 500 : 3'000;
  serve();
  Client client = connect();
  std::vector<std::thread> threads;
  for (char thread = '0'; thread != '0' + kThreads; ++thread) {
    threads.emplace_back([this, thread] {
      for (int i = 0; i != kCalls; ++i) {
        char text[8];
        std::snprintf(text, sizeof text, "%c%06d", thread, i);
        const bool ok = i % 3 == 1 ? conn_.send(text) : conn_.post(says(text));
        EXPECT_TRUE(ok);
        if (i % 64 == 0) {
          EXPECT_TRUE(conn_.wake());
        }
      }
    });
  }
  int next[kThreads] = {};
  bool in_order = true;
  for (int i = 0; i != kThreads * kCalls && in_order; ++i) {
    const std::string text = client.receive(7);
    in_order = text.size() == 7 && std::stoi(text.substr(1)) == next[text.front() - '0']++;
  }
  EXPECT_TRUE(in_order);
  for (std::thread& thread : threads) thread.join();
}

TEST_P(PostTest, APostOfManyFunctionsRunsThemAllInOrder) {
  constexpr int kMany = 1'000;
  serve();
  Client client = connect();
  block(client);
  std::string expected;
  for (int i = 0; i != kMany; ++i) {
    const std::string text = std::to_string(i) + ' ';
    expected += text;
    EXPECT_TRUE(i % 2 == 0 ? conn_.post(says(text)) : conn_.send(text));
  }
  go_.open();
  EXPECT_EQ(client.receive(expected.size()), expected);
}

// ---- A post is not lost to a close() or shutdown() called after it.

constexpr int kMore = 200;  // than a turn calls

std::string all_of_more() {
  std::string all;
  for (int i = 0; i != kMore; ++i) all += std::to_string(i);
  return all;
}

TEST_P(PostTest, IsNotLostToACloseOfItsThreadAfterIt) {
  serve();
  Client client = connect();
  block(client);
  for (int i = 0; i != kMore; ++i) EXPECT_TRUE(conn_.post(says(std::to_string(i))));
  EXPECT_TRUE(conn_.close());
  expect_refused();
  go_.open();
  EXPECT_EQ(client.receive_all(), all_of_more());
  EXPECT_TRUE(log_.wait_for("closed"));
}

TEST_P(PostTest, IsNotLostToACloseOfItsCallbackAfterIt) {
  data_ = [this](Conn& conn, const Bytes&, Output& out) {
    for (int i = 0; i != kMore; ++i) EXPECT_TRUE(conn.post(says(std::to_string(i))));
    EXPECT_TRUE(conn.close());
    expect_refused();
    out = "o";
    return Action::None;
  };
  serve();
  Client client = connect();
  EXPECT_TRUE(client.send_all("go"));
  EXPECT_EQ(client.receive_all(), "o" + all_of_more());
}

TEST_P(PostTest, IsNotLostToTheActionOfItsCallback) {
  Events events = handlers();
  events.detached = [&](Conn&, DetachedConn) { return Action::None; };
  std::atomic<Action> action{Action::Close};
  data_ = [&](Conn& conn, const Bytes&, Output& out) {
    for (int i = 0; i != kMore; ++i) EXPECT_TRUE(conn.post(says(std::to_string(i))));
    out = "o";
    return action.load();
  };
  serve(std::move(events));
  for (const Action each : {Action::Close, Action::Detach, Action::Shutdown}) {
    action = each;
    Client client = connect();
    EXPECT_TRUE(client.send_all("go"));
    EXPECT_EQ(client.receive_all(), "o" + all_of_more());
  }
  EXPECT_FALSE(server_->wait());
}

TEST_P(PostTest, IsNotLostToAnExceptionAfterIt) {
  data_ = [](Conn& conn, const Bytes&, Output& out) -> Action {
    EXPECT_TRUE(conn.post(says("1")));
    EXPECT_TRUE(conn.post(says("2")));
    out = "dropped";
    throw std::runtime_error("thrown");
  };
  serve();
  Client client = connect();
  EXPECT_TRUE(client.send_all("go"));
  EXPECT_EQ(client.receive_all(), "12");
  EXPECT_TRUE(log_.wait_for("closed: thrown"));
}

TEST_P(PostTest, IsNotLostToAFunctionThatClosesBeforeIt) {
  serve();
  Client client = connect();
  block(client);
  Fate fate;
  EXPECT_TRUE(conn_.post(says("1", Action::Close)));
  EXPECT_TRUE(post(fate, says("2")));
  go_.open();
  EXPECT_EQ(client.receive_all(), "12");
  EXPECT_TRUE(log_.wait_for("closed"));
  EXPECT_EQ(fate.runs(), 1u);
}

TEST_P(PostTest, IsNotLostToAShutdownAfterIt) {
  serve();
  Client client = connect();
  block(client);
  for (int i = 0; i != kMore; ++i) EXPECT_TRUE(conn_.post(says(std::to_string(i))));
  server_->shutdown();
  go_.open();
  EXPECT_EQ(client.receive_all(), all_of_more());
  EXPECT_FALSE(server_->wait());
  expect_refused();
}

TEST_P(PostTest, IsNotLostToAShutdownWithoutADrain) {
  Events events = handlers();
  events.drain_timeout = 0ns;
  serve(std::move(events));
  Client client = connect();
  block(client);
  for (int i = 0; i != kMore; ++i) EXPECT_TRUE(conn_.post(says(std::to_string(i))));
  server_->shutdown();
  go_.open();
  EXPECT_EQ(client.receive_all(), all_of_more());
  EXPECT_FALSE(server_->wait());
}

TEST_P(PostTest, IsNotLostToThePeersEndAfterIt) {
  serve();
  Client client = connect();
  block(client);
  for (int i = 0; i != kMore; ++i) EXPECT_TRUE(conn_.post(says(std::to_string(i))));
  client.shutdown_write();
  client.wait_for_arrival();
  go_.open();
  EXPECT_EQ(client.receive_all(), all_of_more());
}

// ---- A post after close() or Close is refused.

TEST_P(PostTest, AfterCloseWasAskedForIsRefused) {
  data_ = [](Conn&, const Bytes&, Output& out) {
    out = std::string(20'000'000, 'x');  // which keeps it closing
    return Action::Close;
  };
  serve();
  Client client = connect();
  EXPECT_TRUE(client.send_all("go"));
  EXPECT_TRUE(client.has_input());  // data has returned, or its output would not be there
  const Server server = server_->handle();
  Gate refused;
  EXPECT_TRUE(eventually([&] { return !conn_.send(""); }));
  expect_refused();
  EXPECT_TRUE(server.post(conn_.loop_index(), [&] {
    expect_refused();
    refused.open();
    return Action::None;
  }));
  EXPECT_TRUE(refused.wait());
  EXPECT_EQ(log_.count("closed"), 0u);
  EXPECT_EQ(client.receive_all().size(), 20'000'000u);
}

TEST_P(PostTest, InClosedAndEverAfterIsRefused) {
  closed_ = [this](Conn&) { expect_refused(); };
  serve();
  Client client = connect();
  client.close();
  EXPECT_TRUE(log_.wait_for("closed"));
  expect_refused();
  server_->shutdown();
  EXPECT_FALSE(server_->wait());
  expect_refused();
}

TEST_P(PostTest, OfNoConnectionIsRefused) {
  expect_refused();
  Gate heard;
  data_ = [&](Conn& conn, const Bytes&, Output&) {
    conn_ = conn;
    expect_refused();
    heard.open();
    return Action::None;
  };
  server_ = std::make_unique<TestServer>(handlers(), "udp://127.0.0.1:0");
  DatagramClient client("127.0.0.1", server_->addr().port());
  client.send("x");
  EXPECT_TRUE(heard.wait());
  expect_refused();
}

// ---- When the connection ends first, f is destroyed unrun on its loop.

TEST_P(PostTest, IsDestroyedUnrunOnItsLoopWhenItsCallbackAborts) {
  Fate fate;
  data_ = [&](Conn& conn, const Bytes&, Output& out) {
    EXPECT_TRUE(post(fate));
    EXPECT_TRUE(conn.abort());
    out = "dropped";
    return Action::None;
  };
  serve();
  Client client = connect();
  EXPECT_TRUE(client.send_all("go"));
  EXPECT_TRUE(fate.wait_for_end());
  EXPECT_TRUE(log_.wait_for("closed: aborted"));
  EXPECT_EQ(fate.where(), thread_);
  EXPECT_EQ(fate.runs(), 0u);
  EXPECT_EQ(client.receive_all(), "");
}

TEST_P(PostTest, IsDestroyedUnrunOnItsLoopWhenItIsAbortedBefore) {
  Fate fate;
  serve();
  Client client = connect();
  block(client);
  EXPECT_TRUE(conn_.abort());
  const bool posted = post(fate);
  go_.open();
  EXPECT_TRUE(fate.wait_for_end());
  EXPECT_TRUE(log_.wait_for("closed: aborted"));
  EXPECT_EQ(fate.runs(), 0u);
  if (posted) {
    EXPECT_EQ(fate.where(), thread_);
  }
}

// Whichever comes first: it runs, or it does not, and is destroyed once, on its loop.
TEST_P(PostTest, RacesWithTheEndOfItsConnection) {
  serve();
  for (int round = 0; round != 60; ++round) {
    keep_next();
    Client client = connect();
    constexpr int kPosts = 50;
    std::vector<std::unique_ptr<Fate>> fates;
    for (int i = 0; i != kPosts; ++i) fates.push_back(std::make_unique<Fate>());
    std::vector<char> posted(kPosts);
    std::thread thread([&] {
      for (std::size_t i = 0; i != kPosts; ++i) posted[i] = post(*fates[i]) ? 1 : 0;
    });
    if (round % 3 == 0) conn_.close();
    if (round % 3 == 1) conn_.abort();
    if (round % 3 == 2) client.reset();
    thread.join();
    for (std::size_t i = 0; i != kPosts; ++i) {
      ASSERT_TRUE(fates[i]->wait_for_end());
      EXPECT_LE(fates[i]->runs(), posted[i] ? 1u : 0u);
      if (posted[i]) {
        EXPECT_EQ(fates[i]->where(), thread_);
      }
      if (posted[i] && round % 3 == 0) {
        EXPECT_EQ(fates[i]->runs(), 1u);
      }
    }
    for (const auto& fate : fates) EXPECT_EQ(fate->ends(), 1u);
  }
}

TEST_P(PostTest, WhatHasRunIsDestroyedOnItsLoopBeforeTheNextRuns) {
  serve();
  Client client = connect();
  block(client);
  Fate first;
  Fate second;
  std::size_t ended_before = 0;
  EXPECT_TRUE(post(first));
  EXPECT_TRUE(post(second, [&](Conn&, Output&) {
    ended_before = first.ends();
    return Action::None;
  }));
  go_.open();
  EXPECT_TRUE(second.wait_for_end());
  EXPECT_EQ(ended_before, 1u);
  EXPECT_EQ(first.where(), thread_);
  EXPECT_EQ(second.where(), thread_);
  EXPECT_EQ(first.runs() + second.runs(), 2u);
  EXPECT_EQ(first.ends() + second.ends(), 2u);
}

// What a function's destructor does with its connection, and with others.
TEST_P(PostTest, ADestructorMayCallTheConnection) {
  struct Busy {
    explicit Busy(Conn c) : conn(std::move(c)) {}
    Busy(Busy&& other) noexcept : conn(std::exchange(other.conn, {})) {}
    ~Busy() {
      if (conn == Conn()) return;
      conn.send("x");
      conn.wake();
      conn.post(says("y"));
      conn.post_after(1h, says("z"));
    }
    Conn conn;
  };
  Counter ended;
  data_ = [&](Conn& conn, const Bytes& in, Output&) {
    if (in != "go") return Action::None;
    for (int i = 0; i != 100; ++i) {
      EXPECT_TRUE(conn.post([busy = Busy(conn)](Conn&, Output&) { return Action::None; }));
      conn.post_after(1h, [busy = Busy(conn)](Conn&, Output&) { return Action::None; });
    }
    conn.abort();
    return Action::None;
  };
  serve();
  Client client = connect();
  EXPECT_TRUE(client.send_all("go"));
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_TRUE(log_.wait_for("closed: aborted"));
  keep_next();
  Client again = connect();
  EXPECT_TRUE(conn_.post([busy = Busy(conn_)](Conn&, Output& out) {
    out = "o";
    return Action::None;
  }));
  EXPECT_EQ(again.receive(3), "oxy");
}

// ---- The interplay.

TEST_P(PostTest, RunsWhileItsPeerReadsNothing) {
  const std::string much = pattern(20'000'000);
  data_ = [&](Conn&, const Bytes&, Output& out) {
    out = much;
    return Action::None;
  };
  serve();
  Client client = connect({.receive_buffer = 65'536});
  EXPECT_TRUE(client.send_all("go"));
  EXPECT_TRUE(client.has_input());
  Fate fate;
  EXPECT_TRUE(post(fate, says("1")));
  EXPECT_TRUE(conn_.send("2"));
  EXPECT_TRUE(fate.wait_for_run());
  EXPECT_GT(conn_.pending(), 0u);
  EXPECT_TRUE(client.receive(much.size()) == much);
  EXPECT_EQ(client.receive(2), "12");
}

TEST_P(PostTest, RunsWhileItsConnectionIsPausedOrHasEndedItsOutput) {
  data_ = echo;
  serve();
  Client client = connect();
  EXPECT_TRUE(conn_.pause());
  EXPECT_TRUE(conn_.post(says("1")));
  EXPECT_EQ(client.receive(1), "1");
  EXPECT_TRUE(client.send_all("e"));
  client.wait_for_arrival();
  EXPECT_TRUE(conn_.post(says("2")));
  EXPECT_TRUE(conn_.post([](Conn& conn, Output&) {
    EXPECT_TRUE(conn.resume());
    return Action::None;
  }));
  EXPECT_EQ(client.receive(2), "2e");
  Fate fate;
  EXPECT_TRUE(conn_.close_write());
  EXPECT_TRUE(post(fate, says("dropped")));
  EXPECT_TRUE(fate.wait_for_end());
  EXPECT_EQ(fate.runs(), 1u);
  EXPECT_EQ(client.receive_all(), "");
}

TEST_P(PostTest, RunsOnceThePeerHasEndedAHalfOpenConnection) {
  options_ = [](Options& options) { options.half_open = true; };
  Events events = handlers();
  Gate ended;
  events.ended = [&](Conn& conn, Output& out) {
    EXPECT_TRUE(conn.post(says("posted ")));
    out = "ended ";
    ended.open();
    return Action::None;
  };
  serve(std::move(events));
  Client client = connect();
  client.shutdown_write();
  EXPECT_TRUE(ended.wait());
  EXPECT_EQ(client.receive(13), "ended posted ");
  EXPECT_TRUE(conn_.post(says("later", Action::Close)));
  EXPECT_EQ(client.receive_all(), "later");
}

// It posts itself again and again, as long as that is not refused.
struct Again {
  Action operator()(Conn& conn, Output&) {
    runs->add();
    conn.post(Again{runs});
    return Action::None;
  }
  Counter* runs;
};

TEST_P(PostTest, OneThatPostsItselfStarvesNeitherInputNorOthersNorAShutdown) {
  data_ = echo;
  serve();
  Client client = connect();
  Client other = connect();
  Counter runs;
  EXPECT_TRUE(conn_.post(Again{&runs}));
  for (int i = 0; i != 5; ++i) {
    EXPECT_TRUE(runs.wait_for(runs.value() + 3));
    EXPECT_TRUE(other.send_all("other"));
    EXPECT_EQ(other.receive(5), "other");
    EXPECT_TRUE(client.send_all("own"));
    EXPECT_EQ(client.receive(3), "own");
  }
  server_->shutdown();
  EXPECT_FALSE(server_->wait());
}

TEST_P(PostTest, OneThatPostsItselfEndsWithItsConnection) {
  serve();
  Counter runs;
  for (int round = 0; round != 3; ++round) {
    keep_next();
    Client client = connect();
    EXPECT_TRUE(conn_.post(Again{&runs}));
    EXPECT_TRUE(runs.wait_for(runs.value() + 3));
    if (round == 0) conn_.close();
    if (round == 1) conn_.abort();
    if (round == 2) client.shutdown_write();
    EXPECT_EQ(client.receive_all(), "");
  }
  server_.reset();  // which counts the runs no more
}

// ---- Server::post.

class ServerPostTest : public PostTest {};
EVIO_INSTANTIATE(ServerPostTest, with_tls(all_modes()));

TEST_P(ServerPostTest, RunsOnThatLoopsThread) {
  Events events = handlers();
  std::mutex mutex;
  std::vector<std::thread::id> ids(static_cast<std::size_t>(loops()));
  events.load_balance = LoadBalance::RoundRobin;
  events.opened = [&](Conn& conn, Output& out, Options&) {
    const std::lock_guard lock(mutex);
    ids[static_cast<std::size_t>(conn.loop_index())] = std::this_thread::get_id();
    out = "+";
    return Action::None;
  };
  serve(std::move(events));
  std::vector<Client> clients;
  for (int i = 0; i != loops(); ++i) {
    clients.push_back(server_->connect());
    EXPECT_EQ(clients.back().receive(1), "+");
  }
  for (int i = 0; i != loops(); ++i) {
    Fate fate;
    EXPECT_TRUE(server_->handle().post(i, [&, i, token = fate.token(), only = std::make_unique<int>(i)] {
      token.run();
      const std::lock_guard lock(mutex);
      EXPECT_EQ(std::this_thread::get_id(), ids[static_cast<std::size_t>(i)]);
      return *only % 2 == 0 ? Action::Close : Action::Detach;  // without effect
    }));
    EXPECT_TRUE(fate.wait_for_end());
    EXPECT_EQ(fate.runs(), 1u);
    const std::lock_guard lock(mutex);
    EXPECT_EQ(fate.where(), ids[static_cast<std::size_t>(i)]);
  }
  EXPECT_FALSE(server_->returned());
}

TEST_P(ServerPostTest, ToNoSuchLoopIsFalse) {
  const auto expect_none = [](const Server& server, int loop) {
    Fate posted;
    Fate timed;
    EXPECT_FALSE(server.post(loop, [token = posted.token()] { return Action::None; }));
    EXPECT_EQ(posted.ends(), 1u);
    EXPECT_EQ(posted.where(), std::this_thread::get_id());
    const Timer timer = server.post_after(loop, 0ns, [token = timed.token()] { return Action::None; });
    EXPECT_EQ(timed.ends(), 1u);
    EXPECT_EQ(timed.where(), std::this_thread::get_id());
    EXPECT_FALSE(timer.cancel());
  };
  expect_none(Server(), 0);
  serve();
  const Server server = server_->handle();
  expect_none(server, -1);
  expect_none(server, loops());
  server.shutdown();
  EXPECT_FALSE(server_->wait());
  for (int i = 0; i != loops(); ++i) expect_none(server, i);  // which have ended
}

TEST_P(ServerPostTest, ItsShutdownAloneIsHeeded) {
  serve();
  Client client = connect();
  for (const Action action : {Action::None, Action::Close, Action::Detach}) {
    Gate ran;
    EXPECT_TRUE(server_->handle().post(0, [&, action] {
      ran.open();
      return action;
    }));
    EXPECT_TRUE(ran.wait());
  }
  EXPECT_TRUE(client.is_quiet());
  EXPECT_TRUE(server_->handle().post(loops() - 1, [] { return Action::Shutdown; }));
  EXPECT_FALSE(server_->wait());
}

TEST_P(ServerPostTest, ItsExceptionShutsTheServerDown) {
  serve();
  Client client = connect();
  EXPECT_TRUE(server_->handle().post(loops() - 1, []() -> Action { throw std::runtime_error("thrown"); }));
  server_->wait();
  EXPECT_EQ(server_->thrown_message(), "thrown");
  EXPECT_EQ(client.receive_all(), "");
}

TEST_P(ServerPostTest, InServingAndBeforeAShutdownRuns) {
  Events events = handlers();
  Fate early;
  events.serving = [&](const Server& server) {
    EXPECT_TRUE(server.post(server.num_loops() - 1, [token = early.token()] {
      token.run();
      return Action::None;
    }));
    return Action::None;
  };
  serve(std::move(events));
  EXPECT_TRUE(early.wait_for_end());
  EXPECT_EQ(early.runs(), 1u);
  std::atomic<int> runs{0};
  for (int i = 0; i != 1'000; ++i) {
    EXPECT_TRUE(server_->handle().post(i % loops(), [&] {
      ++runs;
      return Action::None;
    }));
  }
  server_->shutdown();
  EXPECT_FALSE(server_->wait());
  EXPECT_EQ(runs, 1'000);
}

// Each loop's function posts to the next loop, for ever.
TEST_P(ServerPostTest, ThatPostAgainStarveNeitherConnectionsNorAShutdown) {
  data_ = echo;
  serve();
  Client client = connect();
  Counter runs;
  struct PassedOn {
    Action operator()() {
      runs->add();
      server.post(to, PassedOn{server, from, to, runs});
      return Action::None;
    }
    Server server;
    int to;
    int from;
    Counter* runs;
  };
  const Server server = server_->handle();
  for (int i = 0; i != loops(); ++i) {
    EXPECT_TRUE(server.post(i, PassedOn{server, i, i, &runs}));
    EXPECT_TRUE(server.post(i, PassedOn{server, (i + 1) % loops(), i, &runs}));
  }
  for (int i = 0; i != 5; ++i) {
    EXPECT_TRUE(runs.wait_for(runs.value() + 10));
    EXPECT_TRUE(client.send_all("own"));
    EXPECT_EQ(client.receive(3), "own");
  }
  server.shutdown();
  EXPECT_FALSE(server_->wait());
}

// Threads go on posting while the server ends: each function runs at most once, and is destroyed once.
TEST_P(ServerPostTest, WhatAShutdownFindsIsDestroyedOnceOnItsLoop) {
  for (int round = 0; round != 10; ++round) {
    Events events = handlers();
    std::mutex mutex;
    std::vector<std::thread::id> ids(static_cast<std::size_t>(loops()));
    serve(std::move(events));
    const Server server = server_->handle();
    Counter known;
    for (int i = 0; i != loops(); ++i) {
      EXPECT_TRUE(server.post(i, [&, i] {
        const std::lock_guard lock(mutex);
        ids[static_cast<std::size_t>(i)] = std::this_thread::get_id();
        known.add();
        return Action::None;
      }));
    }
    EXPECT_TRUE(known.wait_for(static_cast<std::size_t>(loops())));
    struct One {
      Fate fate;
      int loop = 0;
      bool posted = false;
    };
    std::vector<std::vector<std::unique_ptr<One>>> all(2);
    Counter begun;
    std::vector<std::thread> threads;
    for (auto& mine : all) {
      threads.emplace_back([&] {
        for (int i = 0; i < 5'000; ++i) {
          One& one = *mine.emplace_back(std::make_unique<One>());
          one.loop = i % loops();
          one.posted = server.post(one.loop, [token = one.fate.token()] {
            token.run();
            return Action::None;
          });
          begun.add();
          if (!one.posted) return;
        }
      });
    }
    EXPECT_TRUE(begun.wait_for(100));
    server.shutdown();
    EXPECT_FALSE(server_->wait());
    for (std::thread& thread : threads) thread.join();
    for (const auto& mine : all) {
      for (const auto& one : mine) {
        ASSERT_EQ(one->fate.ends(), 1u);
        ASSERT_LE(one->fate.runs(), one->posted ? 1u : 0u);
        if (one->posted) {
          ASSERT_EQ(one->fate.where(), ids[static_cast<std::size_t>(one->loop)]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace evio::test
