// Accepting: how many at once, for which loop, when it pauses, and what a shutdown leaves.
#include "internal/server/acceptor.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "internal/net/address_spec.hpp"
#include "internal/net/listener_set.hpp"
#include "internal/net/socket_address.hpp"
#include "internal/server/server_state.hpp"
#include "internal/server/worker.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_poller.hpp"
#include "tests/support/unique_fd.hpp"

namespace {

// What accept4(2) fails with, or does first. One thread: the test's.
std::deque<int> failures;
std::function<void()> before_accept;
int accepts = 0;

}  // namespace

extern "C" int __real_accept4(int fd, sockaddr* peer, socklen_t* size,
                              int flags);  // NOLINT(bugprone-reserved-identifier)
extern "C" int __wrap_accept4(int fd, sockaddr* peer, socklen_t* size,
                              int flags) {  // NOLINT(bugprone-reserved-identifier)
  ++accepts;
  if (before_accept) before_accept();
  if (failures.empty()) return __real_accept4(fd, peer, size, flags);
  errno = failures.front();
  failures.pop_front();
  return -1;
}

namespace evio::internal {
namespace {

using namespace std::chrono_literals;
using test::FakePoller;
using test::UniqueFd;
using Names = std::vector<std::string>;

/// The first of some loops accepts, at sockets of abstract names; the others are not run, and keep what they are given.
class AcceptorTest : public testing::Test {
 protected:
  AcceptorTest() {
    failures.clear();
    before_accept = nullptr;
    accepts = 0;
    events_.data = [](Conn&, const Bytes&, Output&) { return Action::None; };
    events_.opened = [this](Conn& conn, Output&, Options&) {
      ++opened_;
      conns_.push_back(conn);
      return Action::None;
    };
    events_.drain_timeout = 0s;
  }
  ~AcceptorTest() override { before_accept = nullptr; }

  void listen(int loops, std::size_t addresses = 1, LoadBalance policy = LoadBalance::RoundRobin) {
    std::vector<AddressSpec> specs(addresses);
    for (std::size_t i = 0; i != addresses; ++i) {
      names_.push_back("@evio_acceptor_test_" + std::to_string(::getpid()) + '_' + std::to_string(i));
      const Error err = parse_address("unix://" + names_[i], specs[i]);
      ASSERT_FALSE(err) << err.message();
    }
    GivenSockets none;
    const Error err = listeners_.open(specs, none);
    ASSERT_FALSE(err) << err.message();
    events_.load_balance = policy;
    server_ = std::make_unique<ServerState>(events_, loops);
    for (int i = 0; i != loops; ++i) {
      auto poller = std::make_unique<FakePoller>();
      pollers_.push_back(poller.get());
      workers_.push_back(std::make_unique<Worker>(i, std::move(poller), events_, *server_, listeners_));
      server_->queues.push_back(workers_.back()->loop().queue());
    }
    for (std::size_t i = 0; i != addresses; ++i) {
      Listener& listener = listeners_.all()[i];
      ASSERT_FALSE(workers_.front()->listen(listener, listener.sockets().front(), static_cast<int>(i), workers_));
    }
  }
  // Before a turn of the first loop for each of these, and its shutdown.
  void run(std::deque<FakePoller::Turn> turns) {
    poller().turns = std::move(turns);
    poller().afterwards = [this] { server_->shut_down(); };
    fds_.clear();
    for (Listener& listener : listeners_.all()) fds_.push_back(listener.sockets().front().fd.get());
    workers_.front()->run();
  }
  FakePoller& poller() { return *pollers_.front(); }
  void report(std::size_t address = 0) { poller().report(fds_[address]); }
  const Names& changes() { return poller().changes(fds_[0]); }

  // They wait at the listener when this returns.
  void connect(int clients, std::size_t address = 0) {
    const auto name = SocketAddress::unix_path(names_[address]);
    for (int i = 0; i != clients; ++i) {
      clients_.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      ASSERT_EQ(::connect(clients_.back().get(), &name.any, name.size), 0);
    }
  }
  bool anyone_waits(std::size_t address) {
    pollfd listener{fds_[address], POLLIN, 0};
    return ::poll(&listener, 1, 0) == 1;
  }
  int ended_clients() {
    int ended = 0;
    for (const UniqueFd& client : clients_) {
      char byte = 0;
      const ssize_t n = ::recv(client.get(), &byte, 1, MSG_DONTWAIT);
      if (n == 0 || (n < 0 && errno != EAGAIN)) ++ended;
    }
    return ended;
  }

  test::FakeClock clock_;
  Events events_;
  int opened_ = 0;
  std::vector<Conn> conns_;
  ListenerSet listeners_{1};
  std::unique_ptr<ServerState> server_;
  Workers workers_;
  std::vector<FakePoller*> pollers_;
  Names names_;
  std::vector<int> fds_;  // of the listeners
  std::vector<UniqueFd> clients_;
};

TEST_F(AcceptorTest, AcceptsSixtyFourATurn) {
  listen(1);
  connect(100);
  std::vector<int> opened;
  const auto turn = [&] {
    opened.push_back(opened_);
    report();
  };
  run({turn, turn, turn});
  EXPECT_EQ(opened, (std::vector<int>{0, 64, 100}));
  EXPECT_EQ(opened_, 100);
  EXPECT_EQ(accepts, 64 + 36 + 1 + 1) << "one finds that nobody is left";
}

TEST_F(AcceptorTest, OpensNoneOfItsOwnBeforeEveryListenerHasAccepted) {
  listen(1, 2);
  connect(3, 0);
  connect(3, 1);
  std::vector<int> addresses;
  events_.opened = [&](Conn& conn, Output&, Options&) {
    EXPECT_FALSE(anyone_waits(0));
    EXPECT_FALSE(anyone_waits(1));
    addresses.push_back(conn.addr_index());
    return Action::None;
  };
  run({[&] {
    report(1);
    report(0);
  }});
  EXPECT_EQ(addresses, (std::vector<int>{1, 1, 1, 0, 0, 0})) << "in the order in which they were accepted";
  EXPECT_EQ(poller().wakes(), 1) << "by the shutdown: its own loop needs none";
}

TEST_F(AcceptorTest, GivesOtherLoopsTheirsAndWakesThem) {
  listen(3);
  connect(6);
  run({[&] { report(); }});
  EXPECT_EQ(opened_, 2);
  for (const std::size_t other : {1u, 2u}) {
    EXPECT_EQ(pollers_[other]->wakes(), 1) << "for the first of them";
    std::vector<Note> notes(5);
    EXPECT_EQ(server_->queues[other]->pop_bulk(notes), 2u);
    EXPECT_EQ(notes[0].kind, Note::Kind::kAdopt);
  }
}

TEST_F(AcceptorTest, PausesWhenALoopDoesNotTakeAConnection) {
  listen(2, 1, LoadBalance::LeastConnections);
  server_->queues[1]->close();  // it answers as if there were no memory for the note
  connect(4);
  run({[&] { report(); },
       [&] {
         EXPECT_EQ(opened_, 1);
         EXPECT_EQ(ended_clients(), 1);
         EXPECT_EQ(changes(), (Names{"add accept", "remove"})) << "the others wait in the backlog";
         clock_.advance(1s);
       },
       [&] { report(); },
       // What was not taken counts no more, so that loop is chosen again.
       [&] { EXPECT_EQ(ended_clients(), 2); }});
}

TEST_F(AcceptorTest, GoesOnAfterAnErrorOfOneConnection) {
  listen(1);
  connect(2);
  run({[&] {
         failures = {ECONNABORTED, EINTR, EPROTO};
         report();
       },
       [&] {
         EXPECT_EQ(opened_, 2);
         EXPECT_EQ(changes(), Names{"add accept"});
       }});
}

class ExhaustionTest : public AcceptorTest, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(, ExhaustionTest, testing::Values(EMFILE, ENFILE, ENOBUFS, ENOMEM, EINVAL),
                         [](const auto& failure) { return std::string(::strerrorname_np(failure.param)); });

TEST_P(ExhaustionTest, PausesATenthOfASecond) {
  listen(1);
  connect(2);
  failures = {GetParam()};
  run({[&] { report(); },
       [&] {
         EXPECT_EQ(opened_, 0);
         EXPECT_EQ(accepts, 1);
         EXPECT_EQ(changes(), (Names{"add accept", "remove"}));
         EXPECT_EQ(poller().last_timeout(), 100ms);
         clock_.advance(100ms - 1ns);
       },
       [&] {
         EXPECT_FALSE(poller().watches(fds_[0]));
         clock_.advance(1ns);
       },
       [&] {
         EXPECT_EQ(changes(), (Names{"add accept", "remove", "add accept"}));
         EXPECT_LT(poller().last_timeout(), 0ns);
         report();
       },
       [&] { EXPECT_EQ(opened_, 2); }});
}

TEST_F(AcceptorTest, PausesAgainWhereItCannotBeWatched) {
  listen(1);
  failures = {EMFILE};
  run({[&] { report(); },
       [&] {
         poller().refuse_next(std::errc::no_space_on_device);
         clock_.advance(100ms);
       },
       [&] {
         EXPECT_FALSE(poller().watches(fds_[0]));
         EXPECT_EQ(poller().last_timeout(), 100ms);
         clock_.advance(100ms);
       },
       [&] { EXPECT_TRUE(poller().watches(fds_[0])); }});
}

TEST_F(AcceptorTest, RestsWhileAllPlacesAreTakenAndWhoLeavesAcceptsTheNext) {
  events_.max_connections = 2;
  listen(1);
  connect(4);
  run({[&] { report(); },
       [&] {
         EXPECT_EQ(opened_, 2);
         EXPECT_EQ(accepts, 2) << "none that is closed again";
         EXPECT_EQ(changes(), (Names{"add accept", "remove"}));
         conns_[0].close();
       },
       [&] {
         EXPECT_EQ(accepts, 3);
         conns_[1].close();
       },
       [&] { EXPECT_EQ(accepts, 4); },
       [&] {
         EXPECT_EQ(opened_, 4);
         EXPECT_EQ(changes(), (Names{"add accept", "remove"})) << "still all are taken";
       }});
}

TEST_F(AcceptorTest, IsWatchedAgainWhenNobodyWaits) {
  events_.max_connections = 1;
  listen(1, 2);
  connect(2, 0);
  connect(1, 1);
  run({[&] {
         report(0);
         report(1);
       },
       [&] {
         EXPECT_EQ(changes(), (Names{"add accept", "remove"}));
         EXPECT_EQ(poller().changes(fds_[1]), (Names{"add accept", "remove"}));
         conns_[0].close();
       },
       [&] {}, [&] { conns_.at(1).close(); }, [&] {},
       [&] {
         EXPECT_EQ(conns_.at(1).addr_index(), 0);
         EXPECT_EQ(conns_.at(2).addr_index(), 1);
         conns_[2].close();
       },
       [&] {}, [&] {},
       [&] {
         EXPECT_EQ(opened_, 3);
         EXPECT_EQ(changes(), (Names{"add accept", "remove", "add accept"}));
         EXPECT_EQ(poller().changes(fds_[1]), (Names{"add accept", "remove", "add accept"}));
       }});
}

TEST_F(AcceptorTest, PausesWhereItIsAcceptedForInVain) {
  events_.max_connections = 1;
  listen(1, 2);
  connect(2, 0);
  connect(1, 1);
  run({[&] {
         report(0);
         report(1);
       },
       [&] {
         failures = {EMFILE};
         conns_[0].close();
       },
       [&] {},
       [&] {
         EXPECT_EQ(opened_, 1);
         EXPECT_EQ(changes(), (Names{"add accept", "remove"}));
         EXPECT_EQ(poller().last_timeout(), 100ms);
         clock_.advance(100ms);
       },
       [&] {
         EXPECT_TRUE(poller().watches(fds_[1]));
         report(0);
       },
       [&] { EXPECT_EQ(opened_, 2); }});
}

TEST_F(AcceptorTest, TriesAgainLaterWhereItCannotBeWatchedAfterItsRest) {
  events_.max_connections = 1;
  listen(1);
  connect(2);
  run({[&] { report(); }, [&] { conns_[0].close(); }, [&] {},
       [&] {
         ASSERT_EQ(opened_, 2);
         poller().refuse_next(std::errc::no_space_on_device);
         conns_[1].close();
       },
       [&] {},
       [&] {
         EXPECT_FALSE(poller().watches(fds_[0]));
         EXPECT_EQ(poller().last_timeout(), 100ms);
         clock_.advance(100ms);
       },
       [&] { EXPECT_TRUE(poller().watches(fds_[0])); }});
}

// A connection that fails, or that no loop takes, leaves its place.
TEST_F(AcceptorTest, APlaceIsNotLostToWhatFails) {
  events_.max_connections = 2;
  listen(2, 1, LoadBalance::LeastConnections);
  server_->queues[1]->close();
  connect(4);
  failures = {ECONNABORTED, EPROTO, ECONNABORTED};
  run({[&] { report(); },
       [&] {
         EXPECT_EQ(opened_, 1);
         EXPECT_EQ(ended_clients(), 1);
         clock_.advance(1s);
       },
       [&] { report(); },
       [&] {
         EXPECT_EQ(ended_clients(), 2);
         clock_.advance(1s);
         failures = {EMFILE};
       },
       [&] { report(); }, [&] { clock_.advance(1s); }, [&] { report(); }, [&] { EXPECT_EQ(ended_clients(), 3); }});
}

TEST_F(AcceptorTest, IsRemovedOnceIfTheShutdownFindsItResting) {
  events_.max_connections = 1;
  listen(1);
  connect(3);
  run({[&] { report(); }});
  EXPECT_EQ(opened_, 1);
  EXPECT_EQ(changes(), (Names{"add accept", "remove"}));
}

TEST_F(AcceptorTest, IsRemovedOnceAtTheShutdown) {
  listen(1);
  run({});
  EXPECT_EQ(changes(), (Names{"add accept", "remove"}));
}

TEST_F(AcceptorTest, DoesNotResumeIfTheShutdownFindsItPaused) {
  listen(1);
  failures = {EMFILE};
  events_.drain_timeout = 10s;
  run({[&] { report(); },
       [&] {
         server_->shut_down();
         clock_.advance(1s);
       }});
  EXPECT_EQ(changes(), (Names{"add accept", "remove"}));
  EXPECT_TRUE(workers_.front()->loop().timers().empty());
}

TEST_F(AcceptorTest, AcceptsNoMoreOnceTheServerShutsDown) {
  listen(1);
  connect(5);
  before_accept = [&] {
    if (accepts == 3) server_->shut_down();
  };
  run({[&] { report(); }});
  EXPECT_EQ(accepts, 3);
  EXPECT_EQ(opened_, 0) << "those that were accepted are closed without a word";
  EXPECT_EQ(ended_clients(), 5);
}

}  // namespace
}  // namespace evio::internal
