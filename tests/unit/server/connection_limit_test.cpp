// The queue of those that rest: who is accepted for, in which order, and who is told what.
#include "internal/server/connection_limit.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace evio::internal {
namespace {

using Names = std::vector<std::string>;
using Order = ConnectionLimit::Order;

class ConnectionLimitTest : public testing::Test {
 protected:
  struct FakeAcceptor final : ConnectionLimit::Waiter {
    FakeAcceptor(std::string called, Names& names) : name(std::move(called)), log(names) {}
    Accepted accept_waiting() noexcept override {
      log.push_back("accept " + name);
      if (meanwhile) std::exchange(meanwhile, nullptr)();
      return answer;
    }
    void call_loop() noexcept override { log.push_back("call " + name); }

    const std::string name;
    Names& log;
    Accepted answer = Accepted::kOne;
    std::function<void()> meanwhile;
  };

  // Takes all slots there are; then these rest.
  void fill(std::initializer_list<FakeAcceptor*> resting) {
    while (limit_.reserve_or_rest(other_)) {
    }
    limit_.stop(other_);
    for (FakeAcceptor* acceptor : resting) EXPECT_FALSE(limit_.reserve_or_rest(*acceptor));
  }
  // So many slots are free. Takes them.
  void expect_free(int slots) {
    FakeAcceptor last("last", log_);
    for (int i = 0; i != slots; ++i) EXPECT_TRUE(limit_.reserve_or_rest(last)) << i;
    EXPECT_FALSE(limit_.reserve_or_rest(last));
    limit_.stop(last);
  }

  Names log_;
  StopFlag stop_;
  ConnectionLimit limit_{2, stop_};
  FakeAcceptor other_{"other", log_};
  FakeAcceptor a_{"a", log_};
  FakeAcceptor b_{"b", log_};
  FakeAcceptor c_{"c", log_};

  void TearDown() override {
    for (FakeAcceptor* acceptor : {&a_, &b_, &c_}) limit_.stop(*acceptor);
  }
};

TEST_F(ConnectionLimitTest, HasAsManySlotsAsItWasGiven) {
  EXPECT_FALSE(ConnectionLimit(0, stop_).is_set());
  EXPECT_FALSE(ConnectionLimit(-1, stop_).is_set());
  EXPECT_TRUE(limit_.is_set());
  expect_free(2);
  limit_.release();
  limit_.release();
  expect_free(2);
  EXPECT_EQ(log_, Names{});
}

TEST_F(ConnectionLimitTest, ASlotIsForTheOneThatHasRestedLongestAndThenForTheNext) {
  fill({&a_, &b_, &c_});
  for (int i = 0; i != 5; ++i) limit_.release();
  EXPECT_EQ(log_, (Names{"accept a", "accept b", "accept c", "accept a", "accept b"}));
}

TEST_F(ConnectionLimitTest, NobodyGoesPastThoseThatRest) {
  fill({&a_});
  limit_.release();
  EXPECT_FALSE(limit_.reserve_or_rest(b_));
  limit_.release();
  limit_.release();
  EXPECT_EQ(log_, (Names{"accept a", "accept a", "accept b"}));
}

TEST_F(ConnectionLimitTest, WhereNobodyWaitsTheSlotIsPassedOn) {
  fill({&a_, &b_, &c_});
  a_.answer = Accepted::kNone;
  limit_.release();
  EXPECT_EQ(log_, (Names{"accept a", "call a", "accept b"}));
  EXPECT_EQ(limit_.take_order(a_), Order::kWatch);
  EXPECT_EQ(limit_.take_order(a_), Order::kNone) << "once";
  EXPECT_EQ(limit_.take_order(b_), Order::kNone) << "rests";
}

TEST_F(ConnectionLimitTest, WhereNobodyWaitsAnywhereTheSlotIsFreeAndNobodyRests) {
  fill({&a_, &b_});
  a_.answer = b_.answer = Accepted::kNone;
  limit_.release();
  EXPECT_EQ(log_, (Names{"accept a", "call a", "accept b", "call b"}));
  expect_free(1);
  limit_.release();
  EXPECT_EQ(log_.size(), 4u);
}

TEST_F(ConnectionLimitTest, AllPauseWhereTheSystemHasRunOut) {
  fill({&a_, &b_, &c_});
  a_.answer = Accepted::kExhausted;
  limit_.release();
  EXPECT_EQ(log_, (Names{"accept a", "call a", "call b", "call c"}));
  for (FakeAcceptor* acceptor : {&a_, &b_, &c_}) EXPECT_EQ(limit_.take_order(*acceptor), Order::kPause);
  expect_free(1);
}

// While a thread accepts for it another slot becomes free, and nobody else rests.
TEST_F(ConnectionLimitTest, NobodyRestsWhileASlotIsFree) {
  fill({&a_});
  a_.meanwhile = [&] { limit_.release(); };
  limit_.release();
  EXPECT_EQ(log_, (Names{"accept a", "call a"}));
  EXPECT_EQ(limit_.take_order(a_), Order::kWatch);
  expect_free(1);
}

TEST_F(ConnectionLimitTest, OneThatHasStoppedIsLeftAlone) {
  fill({&a_, &b_});
  limit_.stop(a_);
  limit_.release();
  EXPECT_EQ(log_, Names{"accept b"});
  b_.meanwhile = [&] { limit_.stop(b_); };
  limit_.release();
  limit_.release();
  EXPECT_EQ(log_, (Names{"accept b", "accept b"})) << "it stopped while a thread accepted for it";
  for (const Accepted answer : {Accepted::kNone, Accepted::kExhausted}) {
    FakeAcceptor last("last", log_);
    fill({&last});
    last.answer = answer;
    last.meanwhile = [&] { limit_.stop(last); };
    limit_.release();
    EXPECT_EQ(log_.back(), "accept last");
    EXPECT_EQ(limit_.take_order(last), Order::kNone);
  }
}

TEST_F(ConnectionLimitTest, NobodyIsAcceptedForDuringAShutdown) {
  fill({&a_});
  stop_.set();
  limit_.release();
  EXPECT_EQ(log_, Names{});
}

/// A socket at which connections wait, accepted by any thread. Thread-safety: any thread.
struct Backlog final : ConnectionLimit::Waiter {
  explicit Backlog(int most) : most_open(most) {}
  Accepted accept_waiting() noexcept override {
    int left = waiting.load();
    while (left != 0 && !waiting.compare_exchange_weak(left, left - 1)) {
    }
    if (left == 0) return Accepted::kNone;
    EXPECT_LE(++open, most_open);
    return Accepted::kOne;
  }
  void call_loop() noexcept override { called = true; }

  const int most_open;
  std::atomic<int> waiting{0};
  std::atomic<bool> called{false};
  static inline std::atomic<int> open{0};
};

// Each thread is a loop with a listener of its own; what it accepts, any thread closes.
TEST(ConnectionLimitRaceTest, NeverOneMoreAndNobodyIsForgotten) {
  constexpr int kMost = 3;
  constexpr int kEach = 20'000;
  StopFlag stop;
  ConnectionLimit limit(kMost, stop);
  std::array<Backlog, 4> backlogs{Backlog(kMost), Backlog(kMost), Backlog(kMost), Backlog(kMost)};
  for (Backlog& backlog : backlogs) backlog.waiting = kEach;
  std::atomic<int> left{4 * kEach};
  std::vector<std::thread> threads;
  for (Backlog& backlog : backlogs) {
    threads.emplace_back([&] {
      bool rests = false;
      while (left != 0) {
        if (rests && backlog.called.exchange(false)) rests = limit.take_order(backlog) == Order::kNone;
        if (!rests && backlog.waiting != 0) {
          if (!limit.reserve_or_rest(backlog)) {
            rests = true;
          } else if (backlog.accept_waiting() != Accepted::kOne) {
            limit.release();
          }
        }
        int open = Backlog::open;
        while (open > 0 && !Backlog::open.compare_exchange_weak(open, open - 1)) {
        }
        if (open > 0) {
          --left;
          limit.release();
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (Backlog& backlog : backlogs) {
    EXPECT_EQ(backlog.waiting, 0);
    limit.stop(backlog);
  }
  EXPECT_EQ(Backlog::open, 0);
}

}  // namespace
}  // namespace evio::internal
