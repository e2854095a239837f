// Guarantee 23: a connection that the program itself makes.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/support/dial_fixture.hpp"
#include "tests/support/fate.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

EVIO_INSTANTIATE(DialTest, with_tls(all_modes()));

// The socket was watched by the attempt to connect, for writing, too.
TEST_P(DialTest, OutputOfOpenedThatDoesNotFitLeavesWhereNothingIsReadMeanwhile) {
  const std::string much = pattern(8'000'000);
  Counter arrived;
  Events handlers = this->handlers();
  handlers.data = [&](Conn&, const Bytes& in, Output&) {
    arrived.add(in.size());
    return Action::None;
  };
  opened_ = [&](Conn&, Output& out, Options& options) {
    options.read_while_pending = false;
    out = much;
    return Action::None;
  };
  serve(handlers);
  const Conn conn = server().dial(own_address(), dial_how());
  EXPECT_TRUE(arrived.wait_for(much.size()));
  EXPECT_TRUE(conn.close());
  EXPECT_TRUE(log_.wait_for("closed"));
}

TEST_P(DialTest, IsOpenedAndLivesAsAnyConnection) {
  opened_ = [&](Conn& conn, Output& out, Options& options) {
    EXPECT_TRUE(options.read_while_pending);
    EXPECT_EQ(conn.addr_index(), -1);
    EXPECT_EQ(conn.remote_addr(), conn.server().addrs().at(0));
    EXPECT_GE(conn.native_handle(), 3);
    out = "hello";
    return Action::None;
  };
  serve();
  const Conn conn = server().dial(own_address(), dial_how());
  EXPECT_TRUE(conn.dialed());
  EXPECT_GE(conn.loop_index(), 0);
  EXPECT_LT(conn.loop_index(), loops());
  EXPECT_NE(conn.id(), 0u);
  EXPECT_EQ(heard(5), "hello");
  EXPECT_TRUE(conn.send(" again"));
  EXPECT_EQ(heard(11), "hello again");
  EXPECT_TRUE(conn.close());
  EXPECT_TRUE(log_.wait_for("closed"));
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "closed"}));
}

TEST_P(DialTest, BothEndsHaveEachOthersAddress) {
  Addr accepted;
  Gate known;
  Events handlers = this->handlers();
  handlers.opened = [&, inner = handlers.opened](Conn& conn, Output& out, Options& options) {
    if (!conn.dialed()) {
      accepted = conn.remote_addr();
      known.open();
    }
    return inner(conn, out, options);
  };
  serve(handlers);
  const Conn conn = server().dial(own_address(), dial_how());
  ASSERT_TRUE(log_.wait_for("opened"));
  ASSERT_TRUE(known.wait());
  EXPECT_EQ(conn.local_addr(), accepted);
}

// Whatever is asked while it is being connected follows what `opened` adds.
TEST_P(DialTest, WhatIsAskedBeforeItIsOpenedFollowsWhatOpenedAdds) {
  opened_ = [](Conn& conn, Output& out, Options&) {
    EXPECT_TRUE(conn.send("1"));
    EXPECT_TRUE(conn.send(std::string(100'000, '2')));
    out = "3";
    return Action::None;
  };
  Events handlers = this->handlers();
  handlers.serving = [](const Server& server) {
    const Conn conn = server.dial(dial_address(server.addrs().at(0)), dial_how());  // no loop runs as yet
    EXPECT_TRUE(conn.send("4"));
    EXPECT_TRUE(conn.post([](Conn&, Output& out) {
      out = "5";
      return Action::None;
    }));
    EXPECT_TRUE(conn.send(std::string(100'000, '6')));
    return Action::None;
  };
  serve(handlers);
  const std::string expected = "1" + std::string(100'000, '2') + "345" + std::string(100'000, '6');
  EXPECT_TRUE(heard(expected.size()) == expected);
}

TEST_P(DialTest, ItsOutputMayEndBeforeItIsOpened) {
  opened_ = [](Conn& conn, Output& out, Options& options) {
    options.half_open = true;
    EXPECT_FALSE(conn.send("x"));
    out = "1";
    return Action::None;
  };
  Events handlers = this->handlers();
  handlers.serving = [](const Server& server) {
    const Conn conn = server.dial(dial_address(server.addrs().at(0)), dial_how());
    EXPECT_TRUE(conn.send("2"));
    EXPECT_TRUE(conn.close_write());
    EXPECT_FALSE(conn.send("x"));
    return Action::None;
  };
  serve(handlers);
  EXPECT_EQ(heard(2), "12");
  EXPECT_TRUE(log_.wait_for("closed"));
}

// More functions than a turn calls. It is closed behind them, turns after the dial has ended.
TEST_P(DialTest, AllFunctionsRunThoughOpenedClosesIt) {
  constexpr std::size_t kMany = 500;
  for (const bool throws : {false, true}) {
    SCOPED_TRACE(throws);
    opened_ = [throws](Conn&, Output&, Options&) {
      if (throws) throw std::runtime_error("no");
      return Action::Close;
    };
    Counter ran;
    Counter closed;
    Events handlers = this->handlers();
    handlers.serving = [&ran](const Server& server) {
      const Conn conn = server.dial(dial_address(server.addrs().at(0)), dial_how());
      for (std::size_t i = 0; i != kMany; ++i) {
        EXPECT_TRUE(conn.post([&ran](Conn&, Output&) {
          ran.add();
          return Action::None;
        }));
      }
      return Action::None;
    };
    handlers.closed = [&](Conn& conn, const Error&) {
      if (!conn.dialed()) return Action::None;
      EXPECT_EQ(ran.value(), kMany);
      closed.add();
      return Action::None;
    };
    serve(handlers);
    EXPECT_TRUE(closed.wait_for(1));
    server_.reset();
  }
}

// The same on the loop's own thread, where a send usually takes another way.
TEST_P(DialTest, NorDoesWhatItsLoopAsksComeBeforeIt) {
  opened_ = [](Conn&, Output& out, Options&) {
    out = "1";
    return Action::None;
  };
  serve();
  ASSERT_TRUE(server().post(0, [&, server = server()] {
    const Conn conn = server.dial(own_address(), dial_how());
    EXPECT_EQ(conn.loop_index(), 0);
    EXPECT_TRUE(conn.send("2"));
    EXPECT_TRUE(conn.post([](Conn&, Output& out) {
      out = "3";
      return Action::None;
    }));
    EXPECT_TRUE(conn.send("4"));
    EXPECT_TRUE(conn.wake());
    EXPECT_TRUE(conn.post_after(0ns,
                                [](Conn&, Output& out) {
                                  out = "5";
                                  return Action::None;
                                })
                    .cancel());
    EXPECT_EQ(log_.count("opened"), 0u) << "never inline";
    return Action::None;
  }));
  EXPECT_EQ(heard(4), "1234");
}

TEST_P(DialTest, ATimerThatIsDueEarlyRunsAfterOpened) {
  opened_ = [&](Conn&, Output&, Options&) { return Action::None; };
  Events handlers = this->handlers();
  handlers.serving = [&](const Server& server) {
    const Conn conn = server.dial(dial_address(server.addrs().at(0)), dial_how());
    conn.post_after(0ns, [this](Conn&, Output&) {
      log_.add("timer");
      return Action::Close;
    });
    return Action::None;
  };
  serve(handlers);
  EXPECT_TRUE(log_.wait_for("closed"));
  EXPECT_EQ(log_.all(), (EventLog::List{"opened", "timer", "closed"}));
}

TEST_P(DialTest, TheContextIsThereFromTheBeginning) {
  opened_ = [](Conn& conn, Output& out, Options&) {
    EXPECT_NE(conn.context<std::string>(), nullptr);
    if (const auto* text = conn.context<std::string>()) out = *text;
    return Action::None;
  };
  serve();
  server().dial(own_address(), std::string("mine"), dial_how());
  EXPECT_EQ(heard(4), "mine");
}

TEST_P(DialTest, StaysOnTheLoopOfTheCallbackOrGoesWhereItIsSent) {
  serve();
  const int last = loops() - 1;
  ASSERT_TRUE(server().post(last, [&, server = server()] {
    EXPECT_EQ(server.dial(own_address(), dial_how()).loop_index(), last);
    EXPECT_EQ(server.dial(own_address(), dial_how({.loop = 0})).loop_index(), 0);
    return Action::None;
  }));
  ASSERT_TRUE(log_.wait_for("opened", 2));
  EXPECT_EQ(server().dial(own_address(), dial_how({.loop = last})).loop_index(), last);
  ASSERT_TRUE(log_.wait_for("opened", 3));
}

TEST_P(DialTest, CountsForTheBalancerFromTheCallOn) {
  Events handlers = this->handlers();
  handlers.load_balance = LoadBalance::LeastConnections;
  std::vector<int> chosen;
  handlers.serving = [&](const Server& server) {
    for (int i = 0; i != server.num_loops(); ++i)
      chosen.push_back(server.dial(dial_address(server.addrs().at(0)), dial_how()).loop_index());
    return Action::None;
  };
  serve(handlers);
  std::sort(chosen.begin(), chosen.end());
  for (int i = 0; i != loops(); ++i) EXPECT_EQ(chosen[static_cast<std::size_t>(i)], i);
  EXPECT_TRUE(log_.wait_for("opened", chosen.size()));
}

class DialFamilyTest : public DialTest {};
EVIO_INSTANTIATE(DialFamilyTest, modes_of(Network::kTcp));

TEST_P(DialFamilyTest, CanBeNamed) {
  Events handlers = this->handlers();
  handlers.data = echo;
  server_ = std::make_unique<TestServer>(handlers, std::vector<std::string>{"tcp4://127.0.0.1:0", "tcp6://[::1]:0"});
  const Conn conns[] = {server().dial("tcp4://" + server_->addr(0).to_string()),
                        server().dial("tcp6://" + server_->addr(1).to_string())};
  ASSERT_TRUE(log_.wait_for("opened", 2));
  for (const std::size_t i : {0u, 1u}) EXPECT_EQ(conns[i].remote_addr(), server_->addr(i));
}

TEST_P(DialTest, IsCountedBeforeItIsTold) {
  std::atomic<std::uint64_t> dialed{0};
  std::atomic<std::uint64_t> unreachable{0};
  Events handlers = this->handlers();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    if (conn.dialed()) dialed = conn.server().stats(conn.loop_index()).dialed;
    return Action::None;
  };
  handlers.unreachable = [&](Conn& conn, const Error&) {
    unreachable = conn.server().stats(conn.loop_index()).unreachable;
    log_.add("unreachable");
  };
  serve(handlers);
  const Conn conn = server().dial(own_address(), dial_how());
  ASSERT_TRUE(eventually([&] { return dialed == 1; }));
  EXPECT_TRUE(eventually([&] { return server().stats().connections == 2; }));
  EXPECT_TRUE(eventually([&] { return server().stats().handshakes == (mode().is_tls() ? 2u : 0u); }));
  server().dial("unix://" + path("nobody"));
  ASSERT_TRUE(log_.wait_for("unreachable"));
  EXPECT_EQ(unreachable, 1u);
  EXPECT_EQ(server().stats().dialed, 1u);
  EXPECT_TRUE(conn.close());
  EXPECT_TRUE(eventually([&] { return server().stats().connections == 0; }));
}

TEST_P(DialTest, ManyAtOnceAreAllOpened) {
  opened_ = [](Conn&, Output& out, Options&) {
    out = "x";
    return Action::None;
  };
  serve();
  for (int i = 0; i != 200; ++i) server().dial(own_address(), dial_how());
  EXPECT_EQ(heard(200).size(), 200u);
  EXPECT_EQ(log_.count("unreachable"), 0u);
}

TEST_P(DialTest, InServingItIsOpenedOnceTheLoopsRun) {
  Events handlers = this->handlers();
  handlers.serving = [&](const Server& server) {
    server.dial(dial_address(server.addrs().at(0)), dial_how());
    EXPECT_EQ(log_.count("opened"), 0u);
    return Action::None;
  };
  serve(handlers);
  EXPECT_TRUE(log_.wait_for("opened"));
}

class RunTest : public ModeTest {};
EVIO_INSTANTIATE(RunTest, with_tls(modes_of({1})));

TEST_P(RunTest, DialsWithoutAListener) {
  Events echoing = ModeTest::events();
  echoing.data = echo;
  TestServer server(echoing, address());
  std::string heard;
  Events events;
  events.num_loops = 2;
  events.serving = [&](const Server& mine) {
    EXPECT_TRUE(mine.addrs().empty());
    EXPECT_EQ(mine.num_loops(), 2);
    mine.dial(dial_address(server.addr()), dial_how());
    return Action::None;
  };
  events.opened = [](Conn&, Output& out, Options&) {
    out = "hello";
    return Action::None;
  };
  events.data = [&](Conn&, const Bytes& in, Output&) {
    heard += in.view();
    return heard.size() == 5 ? Action::Shutdown : Action::None;
  };
  EXPECT_FALSE(run(events));
  EXPECT_EQ(heard, "hello");
}

TEST_P(RunTest, ReturnsWhenServingAsksForIt) {
  Events events;
  std::atomic<bool> told{false};
  events.serving = [&](const Server& server) {
    server.dial(dial_address(1), dial_how());
    return Action::Shutdown;
  };
  events.unreachable = [&](Conn&, const Error& err) { told = err.code() == std::errc::operation_canceled; };
  EXPECT_FALSE(run(events));
  EXPECT_TRUE(told);
}

}  // namespace
}  // namespace evio::test
