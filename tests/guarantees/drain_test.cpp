// Guarantee 24: drain() closes the listeners, and shuts the server down when no connection is left.
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/datagram_client.hpp"
#include "tests/support/datagram_peer.hpp"
#include "tests/support/dial_fixture.hpp"
#include "tests/support/silent_port.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

class DrainTest : public ModeTest {
 protected:
  // Echoes, and notes "opened", "closed" and "stopping". "close" is answered and closes, "detach" leaves.
  Events logging() {
    Events handlers = events();
    handlers.opened = [this](Conn&, Output&, Options&) {
      log_.add("opened");
      return Action::None;
    };
    handlers.data = obey;
    handlers.closed = [this](Conn&, const Error&) {
      log_.add("closed");
      return Action::None;
    };
    handlers.stopping = [this](const Server&) { log_.add("stopping"); };
    return handlers;
  }
  void serve(Events handlers, std::vector<std::string> more = {}) {
    more.insert(more.begin(), address());
    server_ = std::make_unique<TestServer>(std::move(handlers), std::move(more));
  }
  const Server& handle() const { return server_->handle(); }
  // A connection that is open, and served.
  Client open() {
    Client client = server_->connect();
    expect_echo(client);
    return client;
  }
  static void expect_echo(Client& client) {
    ASSERT_TRUE(client.send_all("hello"));
    EXPECT_EQ(client.receive(5), "hello");
  }
  bool refuses() const {
    return eventually([&] { return !Client(server_->addr(), {.may_be_refused = true}).connected(); });
  }
  void expect_end() {
    EXPECT_FALSE(server_->wait());
    server_.reset();
  }
  void TearDown() override {
    server_.reset();
    ModeTest::TearDown();
  }

  EventLog log_;
  std::unique_ptr<TestServer> server_;
};
EVIO_INSTANTIATE(DrainTest, all_modes());

TEST_P(DrainTest, RefusesNewcomersAndLetsTheOthersEndByThemselves) {
  serve(logging());
  Client first = open();
  Client second = open();
  EXPECT_FALSE(handle().draining());
  handle().drain(1h);
  EXPECT_TRUE(handle().draining());
  EXPECT_TRUE(refuses());
  if (!mode().is_tcp()) {
    EXPECT_FALSE(std::filesystem::exists(server_->addr().path()));
  }
  expect_echo(first);
  first.close();
  ASSERT_TRUE(log_.wait_for("closed"));
  expect_echo(second);
  EXPECT_TRUE(all_sleep());
  EXPECT_EQ(log_.count("stopping"), 0u);
  EXPECT_FALSE(server_->returned());
  ASSERT_TRUE(second.send_all("close"));
  EXPECT_EQ(second.receive_all(), "close");
  second.close();
  EXPECT_FALSE(server_->wait());
  EXPECT_TRUE(handle().draining());
  EXPECT_EQ(log_.count("stopping"), 1u);
}

TEST_P(DrainTest, EndsAtOnceWithoutConnections) {
  serve(logging());
  handle().drain(1h);
  expect_end();
}

TEST_P(DrainTest, EndsAtOnceWhenThoseThereWereHaveGone) {
  serve(logging());
  for (std::size_t i = 0; i != 8; ++i) {
    open().close();
    ASSERT_TRUE(log_.wait_for("closed", i + 1));
  }
  handle().drain(1h);
  expect_end();
}

TEST_P(DrainTest, MayBeAskedForInServing) {
  Events handlers = logging();
  handlers.serving = [](const Server& server) {
    server.drain(1h);
    return Action::None;
  };
  serve(handlers);
  expect_end();
}

TEST_P(DrainTest, AConnectionIsLeftUntilItsClosedHasReturned) {
  Gate closing;
  Gate go;
  const OpensAtEnd opens(go);
  Events handlers = logging();
  handlers.closed = [&](Conn&, const Error&) {
    closing.open();
    EXPECT_TRUE(go.wait());
    log_.add("closed");
    return Action::None;
  };
  serve(handlers);
  open().close();
  ASSERT_TRUE(closing.wait());
  handle().drain(1h);
  if (loops() > 1) {
    EXPECT_TRUE(refuses());
  }
  EXPECT_TRUE(all_sleep());
  EXPECT_EQ(log_.count("stopping"), 0u);
  go.open();
  EXPECT_FALSE(server_->wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "closed", "stopping"}));
}

TEST_P(DrainTest, ADetachedOneIsLeftUntilDetachedHasReturned) {
  Gate leaving;
  Gate go;
  const OpensAtEnd opens(go);
  Events handlers = logging();
  handlers.detached = [&](Conn&, DetachedConn) {
    leaving.open();
    EXPECT_TRUE(go.wait());
    log_.add("detached");
    return Action::None;
  };
  serve(handlers);
  Client client = open();
  ASSERT_TRUE(client.send_all("detach"));
  ASSERT_TRUE(leaving.wait());
  handle().drain(1h);
  EXPECT_TRUE(all_sleep());
  EXPECT_EQ(log_.count("stopping"), 0u);
  go.open();
  EXPECT_FALSE(server_->wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "detached", "stopping"}));
}

TEST_P(DrainTest, EndsAfterTheTimeItMayTake) {
  serve(logging());
  Client client = open();
  const auto began = std::chrono::steady_clock::now();
  handle().drain(50ms);
  EXPECT_FALSE(server_->wait());
  EXPECT_GE(std::chrono::steady_clock::now() - began, 50ms);
  EXPECT_EQ(client.receive_all(), "");
}

TEST_P(DrainTest, TheEarlierOfTwoEndsHolds) {
  serve(logging());
  Client client = open();
  handle().drain(1h);
  EXPECT_TRUE(refuses());
  expect_echo(client);
  handle().drain(20ms);
  expect_end();

  serve(logging());
  client = open();
  handle().drain(20ms);
  handle().drain(std::chrono::nanoseconds::max());
  expect_end();
}

TEST_P(DrainTest, ZeroOrLessIsAShutdown) {
  for (const auto none : {0ns, -1ns}) {
    for (const bool drains : {false, true}) {
      serve(logging());
      Client client = open();
      if (drains) handle().drain(1h);
      handle().drain(none);
      EXPECT_FALSE(server_->wait());
      EXPECT_EQ(handle().draining(), drains);
    }
  }
}

TEST_P(DrainTest, IsNothingWhileTheServerShutsDownAndAfterwards) {
  Gate stopping;
  Gate go;
  const OpensAtEnd opens(go);
  Events handlers = logging();
  handlers.stopping = [&](const Server&) {
    stopping.open();
    EXPECT_TRUE(go.wait());
  };
  serve(handlers);
  Client client = open();  // it runs: a shutdown that comes before does not begin with `stopping`
  server_->shutdown();
  ASSERT_TRUE(stopping.wait());
  handle().drain(1h);
  EXPECT_FALSE(handle().draining());
  go.open();
  EXPECT_FALSE(server_->wait());
  handle().drain(1h);
  EXPECT_FALSE(handle().draining());

  Events ending = events();
  ending.serving = [](const Server&) { return Action::Shutdown; };
  serve(ending);
  EXPECT_FALSE(server_->wait());
  handle().drain(1h);
  EXPECT_FALSE(handle().draining());
  Server().drain(1h);
  EXPECT_FALSE(Server().draining());
}

TEST_P(DrainTest, AnotherServerMayListenThereMeanwhile) {
  serve(logging());
  Client client = open();
  const std::string at = dial_text(server_->addr());
  handle().drain(1h);
  ASSERT_TRUE(eventually([&] {
    Events handlers = events();
    handlers.serving = [](const Server&) { return Action::Shutdown; };
    return !evio::serve(handlers, at);
  }));
  expect_echo(client);
  client.close();
  expect_end();
}

TEST_P(DrainTest, DialAndAdoptStillWorkAndCount) {
  Events handlers = logging();
  handlers.data = echo;
  serve(handlers);
  Client last = open();
  TestServer target(handlers, address());
  handle().drain(1h);
  EXPECT_TRUE(refuses());
  const Conn dialed = handle().dial(dial_text(target.addr()));
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  Client adopted(UniqueFd{pair[0]});
  ASSERT_NE(handle().adopt(DetachedConn(pair[1]), loops() - 1).id(), 0u);
  last.close();
  expect_echo(adopted);
  ASSERT_TRUE(log_.wait_for("opened", 4));  // that of the target, too
  adopted.close();
  ASSERT_TRUE(log_.wait_for("closed", 2));
  EXPECT_TRUE(all_sleep());
  EXPECT_FALSE(server_->returned());
  EXPECT_TRUE(dialed.close());
  expect_end();
}

TEST_P(DrainTest, ADialUnderWayCounts) {
  if (!mode().is_tcp()) return;
  const SilentPort nowhere;
  Events handlers = logging();
  handlers.unreachable = [this](Conn&, const Error&) { log_.add("unreachable"); };
  serve(handlers);
  const Conn dialing = handle().dial(nowhere.address(), {.timeout = 0s, .loop = loops() - 1});
  handle().drain(1h);
  EXPECT_TRUE(refuses());
  EXPECT_TRUE(all_sleep());
  EXPECT_EQ(log_.count("stopping"), 0u);
  EXPECT_TRUE(dialing.close());
  EXPECT_FALSE(server_->wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"unreachable", "stopping"}));
}

// It is a connection, other than a datagram socket that is listened on.
TEST_P(DrainTest, ADatagramSocketThatWasDialedCounts) {
  DatagramPeer peer;
  serve(logging());
  const Conn dialed = handle().dial(peer.address());
  ASSERT_TRUE(log_.wait_for("opened"));
  handle().drain(1h);
  EXPECT_TRUE(refuses());
  EXPECT_TRUE(all_sleep());
  EXPECT_EQ(log_.count("stopping"), 0u);
  EXPECT_TRUE(dialed.send("hello"));
  EXPECT_EQ(peer.receive(), "hello");
  EXPECT_TRUE(dialed.close());
  EXPECT_FALSE(server_->wait());
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "closed", "stopping"}));
}

TEST_P(DrainTest, OfAProgramThatOnlyDials) {
  Events other = events();
  other.data = echo;
  TestServer target(other, address());
  Server running;
  Events handlers = logging();
  Conn conn;
  handlers.serving = [&](const Server& server) {
    running = server;
    conn = server.dial(dial_text(target.addr()));
    return Action::None;
  };
  std::thread thread([&] { EXPECT_FALSE(run(handlers)); });
  EXPECT_TRUE(log_.wait_for("opened"));
  running.drain(1h);
  EXPECT_TRUE(all_sleep());
  EXPECT_EQ(log_.count("stopping"), 0u);
  EXPECT_TRUE(conn.close());
  thread.join();
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "closed", "stopping"}));
}

TEST_P(DrainTest, DatagramSocketsCloseToo) {
  Conn kept;
  Gate heard;
  Events handlers = logging();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    if (conn.addr_index() == 1) {
      kept = conn;
      heard.open();
    }
    return echo(conn, in, out);
  };
  serve(handlers, {mode().poller == PollerKind::kPortable ? "udp-net://127.0.0.1:0" : "udp://127.0.0.1:0"});
  Client client = open();
  const int port = server_->addr(1).port();
  DatagramClient datagrams("127.0.0.1", port);
  datagrams.send("x");
  ASSERT_TRUE(heard.wait());
  EXPECT_EQ(datagrams.receive_text(), "x");
  handle().drain(1h);
  EXPECT_TRUE(eventually([&] { return !kept.send("late"); }));
  EXPECT_TRUE(all_sleep()) << "it refuses before it closes";
  {
    Events others;
    others.data = echo;
    TestServer replacement(others, "udp://127.0.0.1:" + std::to_string(port));
    DatagramClient next("127.0.0.1", port);
    next.send("hello");
    EXPECT_EQ(next.receive_text(), "hello");
  }
  expect_echo(client);
  client.close();
  expect_end();
}

// All slots are taken, and the listener rests: nobody accepts the connections that wait.
TEST_P(DrainTest, AListenerThatRestsAcceptsNobodyEither) {
  Events handlers = logging();
  handlers.max_connections = 1;
  serve(handlers);
  Client client = open();
  std::vector<Client> waiting;
  for (int i = 0; i != 4; ++i) waiting.push_back(server_->connect());
  EXPECT_TRUE(all_sleep());
  handle().drain(1h);
  EXPECT_TRUE(refuses());
  client.close();
  EXPECT_FALSE(server_->wait());
  EXPECT_EQ(handle().stats().accepted, 1u);
  for (Client& one : waiting) EXPECT_EQ(one.receive_all(), "");
}

TEST_P(DrainTest, RefusesNewcomersWhileALoopIsBusy) {
  if (loops() == 1) return;
  Gate busy;
  Gate go;
  const OpensAtEnd opens(go);
  Events handlers = logging();
  handlers.data = [&](Conn&, const Bytes&, Output&) {
    busy.open();
    EXPECT_TRUE(go.wait());
    return Action::Close;
  };
  serve(handlers);
  Client client = server_->connect();
  ASSERT_TRUE(client.send_all("x"));
  ASSERT_TRUE(busy.wait());
  handle().drain(1h);
  EXPECT_TRUE(refuses());
  go.open();
  EXPECT_EQ(client.receive_all(), "");
  client.close();
  expect_end();
}

TEST_P(DrainTest, MayBeAskedForInASignalHandler) {
  static Server running;
  serve(logging());
  Client client = open();
  running = handle();
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) { running.drain(1h); };
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  ::raise(SIGUSR1);
  ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
  running = {};
  EXPECT_TRUE(handle().draining());
  EXPECT_TRUE(refuses());
  expect_echo(client);
  client.close();
  expect_end();
}

// The end of the last connections is noticed, whatever loops they are on and however close together they end.
TEST_P(DrainTest, EndsWhenTheLastOnesEndAtOnceOnSeveralLoops) {
  for (int round = 0; round != 30; ++round) {
    serve(logging());
    std::vector<Client> clients;
    for (int i = 0; i != 8; ++i) clients.push_back(open());
    Gate go;
    std::vector<std::thread> threads;
    for (Client& client : clients) {
      threads.emplace_back([&] {
        EXPECT_TRUE(go.wait());
        client.close();
      });
    }
    threads.emplace_back([&, server = handle()] {
      EXPECT_TRUE(go.wait());
      server.drain(1h);
    });
    go.open();
    for (std::thread& thread : threads) thread.join();
    expect_end();
  }
}

// Whoever is accepted is served to the end, however close to the drain that was.
TEST_P(DrainTest, WhoIsAcceptedIsServed) {
  for (int round = 0; round != 10; ++round) {
    Events handlers = logging();
    Counter served;
    Counter failed;
    handlers.closed = [&](Conn& conn, const Error& err) {
      (err || conn.context<bool>() == nullptr ? failed : served).add();
      return Action::None;
    };
    handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
      conn.set_context(true);
      return echo(conn, in, out);
    };
    serve(handlers);
    Counter answered;
    std::vector<std::thread> threads;
    for (int i = 0; i != 4; ++i) {
      threads.emplace_back([&] {
        for (;;) {
          Client client(server_->addr(), {.may_be_refused = true});
          if (!client.connected()) return;
          if (!client.send_all("hello") || client.receive(5) != "hello") continue;  // it was in the backlog
          client.close();
          answered.add();
        }
      });
    }
    EXPECT_TRUE(answered.wait_for(50));
    handle().drain(1h);
    for (std::thread& thread : threads) thread.join();
    EXPECT_FALSE(server_->wait());
    EXPECT_EQ(failed.value(), 0u);
    EXPECT_EQ(served.value(), answered.value());
    EXPECT_EQ(handle().stats().accepted, answered.value());
  }
}

}  // namespace
}  // namespace evio::test
