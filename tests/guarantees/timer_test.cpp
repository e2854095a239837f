// Guarantee 18: functions that are called later, and their timers.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/guarantees/functions_fixture.hpp"
#include "tests/support/enough.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

// Functions that are to be called at times of which only bounds are known, and the order in which they were.
// Thread-safety: any thread.
class Schedule {
 public:
  // Calls arm(delay, f), whose f notes that it runs.
  template <class Arm>
  void arm(nanoseconds delay, Arm arm) {
    std::size_t index = 0;
    {
      const std::lock_guard lock(mutex_);
      index = earliest_.size();
      earliest_.push_back(Clock::now() + delay);
      latest_.emplace_back();
    }
    arm(delay, [this, index] { note(index); });
    const std::lock_guard lock(mutex_);
    latest_[index] = Clock::now() + delay;
  }
  [[nodiscard]] bool wait_for_all() const { return ran_.wait_for(earliest_.size()); }
  // Each once, none early, none before one that was certainly due sooner.
  void expect_in_order() const {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(order_.size(), earliest_.size());
    EXPECT_EQ(early_, 0);
    for (std::size_t i = 1; i < order_.size(); ++i)
      EXPECT_LE(earliest_[order_[i - 1]], latest_[order_[i]]) << order_[i - 1] << " ran before " << order_[i];
  }
  void expect_none_early() const {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(early_, 0);
  }
  const std::vector<std::size_t>& order() const { return order_; }

 private:
  void note(std::size_t index) {
    {
      const std::lock_guard lock(mutex_);
      if (Clock::now() < earliest_[index]) ++early_;
      order_.push_back(index);
    }
    ran_.add();
  }

  mutable std::mutex mutex_;
  std::vector<Clock::time_point> earliest_;
  std::vector<Clock::time_point> latest_;
  std::vector<std::size_t> order_;
  int early_ = 0;
  Counter ran_;
};

class TimerTest : public FunctionsTest {
 protected:
  Timer arm(Fate& fate, nanoseconds delay) const { return arm(fate, delay, says("")); }
  template <class F>
  Timer arm(Fate& fate, nanoseconds delay, F f) const {
    return conn_.post_after(delay, [token = fate.token(), f = std::move(f)](Conn& conn, Output& out) mutable {
      token.run();
      return f(conn, out);
    });
  }
  Timer arm_for_loop(Fate& fate, int loop, nanoseconds delay) const {
    return server_->handle().post_after(loop, delay, [token = fate.token()] {
      token.run();
      return Action::None;
    });
  }
};
EVIO_INSTANTIATE(TimerTest, with_tls(all_modes()));

// Detach is an error over TLS: TlsTest.DetachIsAnError.
class TimerActionsTest : public TimerTest {};
EVIO_INSTANTIATE(TimerActionsTest, all_modes());

// ---- f runs on the connection's loop as data would.

TEST_P(TimerTest, RunsOnItsConnectionsLoopAsDataWould) {
  Events events = handlers();
  Counter announced;
  events.pre_write = [&] { announced.add(); };
  serve(std::move(events));
  Client client = connect();
  const std::size_t before = announced.value();
  Fate fate;
  arm(fate, 1ms, [&, only = std::make_unique<std::string>("later")](Conn& conn, Output& out) {
    EXPECT_EQ(std::this_thread::get_id(), thread_);
    EXPECT_EQ(conn, conn_);
    EXPECT_TRUE(out.empty());
    EXPECT_GE(conn.native_handle(), 0);
    EXPECT_TRUE(conn.send("sent "));
    out = *only;
    return Action::None;
  });
  EXPECT_EQ(client.receive(10), "sent later");
  EXPECT_EQ(announced.value(), before + 1);
  EXPECT_TRUE(fate.wait_for_end());
  EXPECT_EQ(fate.where(), thread_);
  EXPECT_EQ(fate.runs(), 1u);
}

TEST_P(TimerActionsTest, ItsActionsAndExceptionsCountAsDatas) {
  Events events = handlers();
  events.detached = [&](Conn&, DetachedConn) {
    log_.add("detached");
    return Action::None;
  };
  serve(std::move(events));
  const auto expect_end = [&](auto f, const std::string& received, const std::string& event) {
    keep_next();
    Client client = connect();
    conn_.post_after(1ms, f);
    EXPECT_EQ(client.receive_all(), received);
    EXPECT_TRUE(log_.wait_for(event));
  };
  expect_end(says("last", Action::Close), "last", "closed");
  expect_end(says("last", Action::Detach), "last", "detached");
  const auto throws = [](Conn& conn, Output& out) -> Action {
    conn.send("sent");
    out = "dropped";
    throw std::runtime_error("thrown");
  };
  expect_end(throws, "sent", "closed: thrown");
  expect_end(says("last", Action::Shutdown), "last", "closed");
  EXPECT_FALSE(server_->wait());
}

// ---- Timers are never early, in order of time, then of arming.

TEST_P(TimerTest, AreNeverEarlyAndInOrderOfTheirTimes) {
  serve();
  Client client = connect();
  Schedule schedule;
  Gate armed;
  data_ = nullptr;
  EXPECT_TRUE(conn_.post([&](Conn& conn, Output&) {
    std::mt19937 random(7);
    const auto later = [&](nanoseconds delay, auto f) {
      conn.post_after(delay, [f](Conn&, Output&) {
        f();
        return Action::None;
      });
    };
    const auto on_loop = [&](nanoseconds delay, auto f) {
      conn.server().post_after(conn.loop_index(), delay, [f] {
        f();
        return Action::None;
      });
    };
    for (const nanoseconds delay : {30'000'000ns, 20'000'000ns, 10'000'000ns, 1'000'000ns, 1'000ns, 1ns, 0ns})
      schedule.arm(delay, later);
    for (int i = 0; i != 200; ++i) {
      const nanoseconds delay(random() % 40'000'000);
      if (i % 2 == 0) {
        schedule.arm(delay, later);
      } else {
        schedule.arm(delay, on_loop);
      }
    }
    armed.open();
    return Action::None;
  }));
  ASSERT_TRUE(armed.wait());
  ASSERT_TRUE(schedule.wait_for_all());
  schedule.expect_in_order();
}

// 0 and less are the same time, which is the call's.
TEST_P(TimerTest, OfOneTimeRunInTheOrderOfArming) {
  std::vector<int> order;
  Gate over;
  data_ = [&](Conn& conn, const Bytes&, Output&) {
    for (int i = 0; i != 300; ++i) {
      conn.post_after(i % 3 == 0 ? nanoseconds(-i) : 0ns, [&, i](Conn&, Output&) {
        order.push_back(i);
        if (i == 299) over.open();
        return Action::None;
      });
    }
    return Action::None;
  };
  serve();
  Client client = connect();
  EXPECT_TRUE(client.send_all("go"));
  EXPECT_TRUE(over.wait());
  EXPECT_EQ(order.size(), 300u);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST_P(TimerTest, OfOtherThreadsAreNeverEarlyEither) {
  serve();
  Client client = connect();
  constexpr std::size_t kThreads = 3;
  std::array<Schedule, kThreads> schedules;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t != kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i != 300; ++i) {
        // Some are due long before they are armed, and so before others that are armed.
        schedules[t].arm(nanoseconds(random() % 5'000'000), [&](nanoseconds delay, auto f) {
          conn_.post_after(delay, [f](Conn&, Output&) {
            f();
            return Action::None;
          });
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Schedule& schedule : schedules) {
    ASSERT_TRUE(schedule.wait_for_all());
    schedule.expect_none_early();
  }
}

// All are there before the loop looks: their order is that of their times, whoever armed them.
TEST_P(TimerTest, OfOtherThreadsThatFindALoopBusyRunInOrder) {
  serve();
  Client client = connect();
  block(client);
  Schedule schedule;
  std::thread([&] {
    for (const auto delay : {9ms, 3ms, 6ms, 0ms, 1ms, 12ms}) {
      schedule.arm(delay, [&](nanoseconds d, auto f) {
        conn_.post_after(d, [f](Conn&, Output&) {
          f();
          return Action::None;
        });
      });
    }
  }).join();
  go_.open();
  ASSERT_TRUE(schedule.wait_for_all());
  schedule.expect_in_order();
}

TEST_P(TimerTest, OfADistantTimeNeverRunAndCanBeCancelled) {
  serve();
  Client client = connect();
  Fate fate;
  Fate far;
  const Timer timer = arm(fate, nanoseconds::max());
  const Timer days = arm(far, 24h * 365);
  EXPECT_TRUE(conn_.post(says("x")));
  EXPECT_EQ(client.receive(1), "x");
  EXPECT_EQ(fate.ends() + far.ends(), 0u);
  EXPECT_TRUE(timer.cancel());
  EXPECT_TRUE(days.cancel());
  EXPECT_TRUE(fate.wait_for_end());
  EXPECT_TRUE(far.wait_for_end());
  EXPECT_EQ(fate.runs() + far.runs(), 0u);
}

// ---- One armed in a timer with 0 runs next turn and starves nobody.

TEST_P(TimerTest, ArmedInATimerWithNothingRunsInTheNextTurn) {
  std::vector<std::string> order;
  Gate over;
  const auto notes = [&](std::string what) {
    return [&, what = std::move(what)](Conn&, Output&) {
      order.push_back(what);
      return Action::None;
    };
  };
  data_ = [&](Conn& conn, const Bytes&, Output&) {
    conn.post_after(0ns, [&](Conn& c, Output&) {
      order.emplace_back("first");
      c.post_after(0ns, [&](Conn&, Output&) {
        order.emplace_back("armed");
        over.open();
        return Action::None;
      });
      // Which the next turn does before it runs timers.
      c.server().post(c.loop_index(), [&] {
        order.emplace_back("posted");
        return Action::None;
      });
      return Action::None;
    });
    conn.post_after(0ns, notes("second"));
    return Action::None;
  };
  serve();
  Client client = connect();
  EXPECT_TRUE(client.send_all("go"));
  EXPECT_TRUE(over.wait());
  EXPECT_EQ(order, (std::vector<std::string>{"first", "second", "posted", "armed"}));
}

struct Again {
  Action operator()(Conn& conn, Output&) {
    runs->add();
    conn.post_after(0ns, Again{runs});
    return Action::None;
  }
  Counter* runs;
};

TEST_P(TimerTest, ThatArmsItselfStarvesNeitherInputNorOthersNorAShutdown) {
  data_ = echo;
  serve();
  Client client = connect();
  Client other = connect();
  Counter runs;
  conn_.post_after(0ns, Again{&runs});
  struct LoopAgain {
    Action operator()() {
      runs->add();
      server.post_after(loop, 0ns, LoopAgain{server, loop, runs});
      return Action::None;
    }
    Server server;
    int loop;
    Counter* runs;
  };
  for (int i = 0; i != loops(); ++i) server_->handle().post_after(i, 0ns, LoopAgain{server_->handle(), i, &runs});
  for (int i = 0; i != 5; ++i) {
    EXPECT_TRUE(runs.wait_for(runs.value() + 10));
    EXPECT_TRUE(other.send_all("other"));
    EXPECT_EQ(other.receive(5), "other");
    EXPECT_TRUE(client.send_all("own"));
    EXPECT_EQ(client.receive(3), "own");
    EXPECT_TRUE(conn_.post(says("posted")));
    EXPECT_EQ(client.receive(6), "posted");
  }
  server_->shutdown();
  EXPECT_FALSE(server_->wait());
}

// ---- cancel() is true exactly once; f is then destroyed on its loop, soon.

TEST_P(TimerTest, CancelIsTrueOnceForAllCopies) {
  serve();
  Client client = connect();
  Fate fate;
  const Timer timer = arm(fate, 1h);
  const Timer copy = timer;  // NOLINT(performance-unnecessary-copy-initialization): that is tested
  EXPECT_TRUE(copy.cancel());
  EXPECT_FALSE(timer.cancel());
  EXPECT_FALSE(copy.cancel());
  EXPECT_TRUE(fate.wait_for_end());  // nothing else happens
  EXPECT_EQ(fate.where(), thread_);
  EXPECT_EQ(fate.runs(), 0u);
  EXPECT_FALSE(timer.cancel());
  EXPECT_FALSE(Timer().cancel());
}

TEST_P(TimerTest, CancelIsFalseOnceItHasBegun) {
  serve();
  Client client = connect();
  Fate fate;
  Timer timer;
  Gate set;
  Gate asked;
  timer = arm(fate, 0ns, [&](Conn&, Output&) {
    EXPECT_TRUE(set.wait());
    EXPECT_FALSE(timer.cancel());
    asked.open();
    return Action::None;
  });
  set.open();
  EXPECT_TRUE(asked.wait());
  EXPECT_FALSE(timer.cancel());
  EXPECT_TRUE(fate.wait_for_end());
  EXPECT_EQ(fate.runs(), 1u);
  EXPECT_FALSE(timer.cancel());
}

TEST_P(TimerTest, CancelledInACallbackIsDestroyedSoonButNotInTheCall) {
  Fate fate;
  Gate over;
  data_ = [&](Conn&, const Bytes&, Output&) {
    const Timer timer = arm(fate, 1h);
    EXPECT_TRUE(timer.cancel());
    EXPECT_FALSE(timer.cancel());
    EXPECT_EQ(fate.ends(), 0u);
    over.open();
    return Action::None;
  };
  serve();
  Client client = connect();
  EXPECT_TRUE(client.send_all("go"));
  EXPECT_TRUE(over.wait());
  EXPECT_TRUE(fate.wait_for_end());
  EXPECT_EQ(fate.where(), thread_);
  EXPECT_EQ(fate.runs(), 0u);
}

// Nothing else happens: the loop must not go to sleep over what the end of a function asks for.
TEST_P(TimerTest, CancelledInACallbackMaySendWhenItIsDestroyed) {
  struct Farewell {
    explicit Farewell(Conn to) : conn(std::move(to)) {}
    Farewell(Farewell&&) = default;
    Farewell& operator=(Farewell&&) = delete;
    ~Farewell() { conn.send("farewell"); }
    Conn conn;
  };
  data_ = [&](Conn& conn, const Bytes&, Output&) {
    const Timer timer = conn.post_after(24h, [farewell = Farewell(conn)](Conn&, Output&) { return Action::None; });
    EXPECT_TRUE(timer.cancel());
    return Action::None;
  };
  serve();
  Client client = connect();
  EXPECT_TRUE(client.send_all("go"));
  EXPECT_EQ(client.receive(8), "farewell");
}

// A server that `serving` stops has no turn in which it could arm it.
TEST_P(TimerTest, CancelIsFalseOfOneThatItsLoopNeverArmed) {
  Fate fate;
  Timer timer;
  Events handlers = events();
  handlers.serving = [&](const Server& server) {
    timer = server.post_after(0, 1h, [token = fate.token()] {
      token.run();
      return Action::None;
    });
    return Action::Shutdown;
  };
  EXPECT_FALSE(evio::serve(handlers, address()));
  EXPECT_EQ(fate.ends(), 1u);
  EXPECT_FALSE(timer.cancel());
  EXPECT_EQ(fate.runs(), 0u);
}

// Of two that are due in one turn, the first cancels the second: at its loop, and in another thread.
TEST_P(TimerTest, OneThatIsDueCanCancelTheNext) {
  for (const bool elsewhere : {false, true}) {
    keep_next();
    if (server_ == nullptr) serve();
    Client client = connect();
    Fate first;
    Fate second;
    Timer timer;
    EXPECT_TRUE(conn_.post([&](Conn&, Output&) {
      arm(first, 0ns, [&, elsewhere](Conn&, Output&) {
        if (elsewhere) {
          std::thread([&] { EXPECT_TRUE(timer.cancel()); }).join();
        } else {
          EXPECT_TRUE(timer.cancel());
        }
        return Action::None;
      });
      timer = arm(second, 0ns);
      return Action::None;
    }));
    EXPECT_TRUE(second.wait_for_end());
    EXPECT_TRUE(first.wait_for_end());
    EXPECT_EQ(first.runs(), 1u);
    EXPECT_EQ(second.runs(), 0u);
    EXPECT_EQ(second.where(), thread_);
    EXPECT_FALSE(timer.cancel());
  }
}

// Cancelled before its loop has heard of it.
TEST_P(TimerTest, CancelledBeforeItsLoopKnowsItIsDestroyedThere) {
  serve();
  Client client = connect();
  block(client);
  Fate fate;
  EXPECT_TRUE(arm(fate, 0ns).cancel());
  EXPECT_EQ(fate.ends(), 0u);
  go_.open();
  EXPECT_TRUE(fate.wait_for_end());
  EXPECT_EQ(fate.where(), thread_);
  EXPECT_EQ(fate.runs(), 0u);
}

TEST_P(TimerTest, CancelRacesWithRunAndCloseAndIsTrueExactlyOnce) {
  serve();
  const Enough enough(60, 12);
  for (std::uint64_t round = 0; !enough.reached(round) && !HasFailure(); ++round) {
    keep_next();
    Client client = connect();
    constexpr std::size_t kTimers = 60;
    std::vector<std::unique_ptr<Fate>> fates;
    std::vector<Timer> timers;
    for (std::size_t i = 0; i != kTimers; ++i) {
      fates.push_back(std::make_unique<Fate>());
      timers.push_back(arm(*fates.back(), std::chrono::microseconds(i * 10)));
    }
    std::vector<std::atomic<int>> cancels(kTimers);
    std::vector<std::thread> threads;
    for (int t = 0; t != 3; ++t) {
      threads.emplace_back([&] {
        for (std::size_t i = 0; i != kTimers; ++i) {
          if (timers[i].cancel()) ++cancels[i];
        }
      });
    }
    const auto cancels_at_its_loop = [&](Conn&, Output&) {
      for (std::size_t i = kTimers; i-- != 0;) {
        if (timers[i].cancel()) ++cancels[i];
      }
      return Action::None;
    };
    Fate last;
    conn_.post([token = last.token(), f = cancels_at_its_loop](Conn& conn, Output& out) { return f(conn, out); });
    if (round % 3 == 1) conn_.close();
    if (round % 3 == 2) conn_.abort();
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(last.wait_for_end());
    for (std::size_t i = 0; i != kTimers; ++i) {
      ASSERT_TRUE(fates[i]->wait_for_end());
      const auto cancelled = static_cast<std::size_t>(cancels[i].load());
      EXPECT_LE(cancelled + fates[i]->runs(), 1u);
      if (round % 3 == 0) {
        EXPECT_EQ(cancelled + fates[i]->runs(), 1u);
      }
      EXPECT_FALSE(timers[i].cancel());
    }
    if (round % 3 == 0) conn_.close();
    EXPECT_EQ(client.receive_all(), "");
    for (std::size_t i = 0; i != kTimers; ++i) {
      EXPECT_EQ(fates[i]->ends(), 1u);
    }
  }
}

// Threads arm, pass on and cancel timers of one connection and of the loops, while these run.
TEST_P(TimerTest, AreArmedAndCancelledByManyThreadsAtOnce) {
  serve();
  Client client = connect();
  constexpr int kEach = kSanitized ? 300 : 2'000;
  std::mutex mutex;
  std::vector<Timer> shared;
  std::atomic<int> armed{0};
  Counter ran;
  std::atomic<std::size_t> cancelled{0};
  std::vector<std::thread> threads;
  const Server server = server_->handle();
  for (unsigned t = 0; t != 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i != kEach; ++i) {
        const std::chrono::microseconds delay(random() % 3'000);
        ++armed;
        Timer timer = i % 2 == 0 ? conn_.post_after(delay,
                                                    [&](Conn&, Output&) {
                                                      ran.add();
                                                      return Action::None;
                                                    })
                                 : server.post_after(i / 2 % loops(), delay, [&] {
                                     ran.add();
                                     return Action::None;
                                   });
        {
          const std::lock_guard lock(mutex);
          shared.push_back(timer);
          if (shared.size() > 20) timer = std::exchange(shared[random() % shared.size()], Timer());
        }
        if (timer.cancel()) ++cancelled;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Timer& timer : shared) {
    if (timer.cancel()) ++cancelled;
  }
  EXPECT_TRUE(ran.wait_for(static_cast<std::size_t>(armed) - cancelled));
  EXPECT_EQ(ran.value() + cancelled, static_cast<std::size_t>(armed));
}

// ---- When the connection ends first: timers not yet due are destroyed as soon as closed has returned.

TEST_P(TimerTest, NotYetDueAreDestroyedAsSoonAsClosedHasReturned) {
  struct Noting {
    explicit Noting(EventLog& log) : log_(&log) {}
    Noting(Noting&& other) noexcept : log_(std::exchange(other.log_, nullptr)) {}
    Noting& operator=(Noting&&) = delete;
    ~Noting() {
      if (log_ != nullptr) log_->add("destroyed");
    }

   private:
    EventLog* log_;
  };
  Timer timer;
  closed_ = [&](Conn& conn) {
    EXPECT_FALSE(conn.post_after(0ns, says("")).cancel());
    conn.server().post(conn.loop_index(), [this] {
      log_.add("next");
      return Action::None;
    });
  };
  serve();
  Client client = connect();
  Fate fate;
  timer = arm(fate, 1h, [noting = Noting(log_)](Conn&, Output&) { return Action::None; });
  client.close();
  EXPECT_TRUE(log_.wait_for("next"));
  EXPECT_EQ(log_.all(), (EventLog::List{"closed", "destroyed", "next"}));
  EXPECT_EQ(fate.where(), thread_);
  EXPECT_EQ(fate.runs(), 0u);
  EXPECT_FALSE(timer.cancel());
}

TEST_P(TimerTest, AreDestroyedUnrunHoweverTheConnectionEnds) {
  Events events = handlers();
  events.detached = [&](Conn&, DetachedConn) { return Action::None; };
  serve(std::move(events));
  const std::vector<std::function<void(Client&)>> ends{
      [&](Client&) { conn_.close(); },
      [&](Client&) { conn_.abort(); },
      [&](Client&) { conn_.post(says("", Action::Close)); },
      [&](Client&) { conn_.post(says("", Action::Detach)); },
      [&](Client&) { conn_.post([](Conn&, Output&) -> Action { throw std::runtime_error("thrown"); }); },
      [&](Client&) { conn_.expires_after(1ns); },
      [&](Client& client) { client.reset(); },
      [&](Client& client) { client.shutdown_write(); },
      [&](Client&) { server_->shutdown(); },
  };
  for (std::size_t i = 0; i != ends.size(); ++i) {
    SCOPED_TRACE("end " + std::to_string(i));
    keep_next();
    Client client = connect();
    Fate later;
    Fate here;
    const Timer timer = arm(later, 1h);
    Timer other;
    EXPECT_TRUE(conn_.post([&](Conn&, Output& out) {
      other = arm(here, 1h);
      out = "o";
      return Action::None;
    }));
    EXPECT_EQ(client.receive(1), "o");
    ends[i](client);
    EXPECT_TRUE(later.wait_for_end());
    EXPECT_TRUE(here.wait_for_end());
    EXPECT_EQ(later.where(), thread_);
    EXPECT_EQ(here.where(), thread_);
    EXPECT_EQ(later.runs() + here.runs(), 0u);
    EXPECT_FALSE(timer.cancel());
    EXPECT_FALSE(other.cancel());
    EXPECT_EQ(later.ends() + here.ends(), 2u);
  }
  EXPECT_FALSE(server_->wait());
}

TEST_P(TimerTest, DueWhileTheConnectionClosesDoesNotRun) {
  Fate fate;
  data_ = [&](Conn&, const Bytes&, Output& out) {
    arm(fate, 1ms);
    out = std::string(20'000'000, 'x');
    return Action::Close;
  };
  serve();
  Client client = connect({.receive_buffer = 65'536});
  EXPECT_TRUE(client.send_all("go"));
  EXPECT_TRUE(fate.wait_for_end());  // when it is due, as its peer does not read
  EXPECT_EQ(fate.runs(), 0u);
  EXPECT_EQ(fate.where(), thread_);
  EXPECT_EQ(log_.count("closed"), 0u);
  EXPECT_EQ(client.receive_all().size(), 20'000'000u);
}

// ---- The interplay.

TEST_P(TimerTest, RunsWhileItsPeerReadsNothingAndWhileItIsPaused) {
  const std::string much = pattern(20'000'000);
  data_ = [&](Conn& conn, const Bytes&, Output& out) {
    out = much;
    conn.pause();
    return Action::None;
  };
  serve();
  Client client = connect({.receive_buffer = 65'536});
  EXPECT_TRUE(client.send_all("go"));
  EXPECT_TRUE(client.has_input());
  Fate fate;
  arm(fate, 1ms, says("1"));
  EXPECT_TRUE(fate.wait_for_run());
  EXPECT_GT(conn_.pending(), 0u);
  EXPECT_TRUE(client.receive(much.size()) == much);
  EXPECT_EQ(client.receive(1), "1");
}

TEST_P(TimerTest, RunsOnceThePeerHasEndedAHalfOpenConnection) {
  options_ = [](Options& options) { options.half_open = true; };
  serve();
  Client client = connect();
  client.shutdown_write();
  client.wait_for_arrival();
  conn_.post_after(1ms, says("later", Action::Close));
  EXPECT_EQ(client.receive_all(), "later");
}

// What another thread has asked before it is due comes first.
TEST_P(TimerTest, RunsBehindThePostsAndSendsBeforeIt) {
  serve();
  Client client = connect();
  block(client);
  conn_.post_after(0ns, says("timer"));
  EXPECT_TRUE(conn_.send("a"));
  EXPECT_TRUE(conn_.post(says("1")));
  EXPECT_TRUE(conn_.send("b"));
  go_.open();
  EXPECT_EQ(client.receive(8), "a1btimer");
}

// ---- Server::post_after. Shutdown destroys what is left.

TEST_P(TimerTest, OfALoopRunOnItsThreadAndAreDestroyedThereByAShutdown) {
  Events events = handlers();
  std::mutex mutex;
  std::vector<std::thread::id> ids(static_cast<std::size_t>(loops()));
  serve(std::move(events));
  const Server server = server_->handle();
  for (int i = 0; i != loops(); ++i) {
    Fate fate;
    server.post_after(i, 1ms, [&, i, token = fate.token()] {
      const std::lock_guard lock(mutex);
      ids[static_cast<std::size_t>(i)] = std::this_thread::get_id();
      return Action::Close;  // without effect
    });
    EXPECT_TRUE(fate.wait_for_end());
    const std::lock_guard lock(mutex);
    EXPECT_EQ(fate.where(), ids[static_cast<std::size_t>(i)]);
  }
  std::vector<std::unique_ptr<Fate>> fates;
  std::vector<Timer> timers;
  for (int i = 0; i != loops(); ++i) {
    fates.push_back(std::make_unique<Fate>());
    timers.push_back(arm_for_loop(*fates.back(), i, 1h));
  }
  server.shutdown();
  EXPECT_FALSE(server_->wait());
  for (std::size_t i = 0; i != fates.size(); ++i) {
    EXPECT_EQ(fates[i]->ends(), 1u);
    EXPECT_EQ(fates[i]->runs(), 0u);
    EXPECT_EQ(fates[i]->where(), ids[i]);
    EXPECT_FALSE(timers[i].cancel());
  }
  Fate late;
  EXPECT_FALSE(arm_for_loop(late, 0, 0ns).cancel());
  EXPECT_EQ(late.ends(), 1u);
  EXPECT_EQ(late.where(), std::this_thread::get_id());
}

TEST_P(TimerTest, OfALoopMayShutItDown) {
  serve();
  server_->handle().post_after(loops() - 1, 1ms, [] { return Action::Shutdown; });
  EXPECT_FALSE(server_->wait());
}

TEST_P(TimerTest, OfALoopShutsTheServerDownByAnException) {
  serve();
  server_->handle().post_after(loops() - 1, 1ms, []() -> Action { throw std::runtime_error("thrown"); });
  server_->wait();
  EXPECT_EQ(server_->thrown_message(), "thrown");
}

TEST_P(TimerTest, OfALoopCanBeCancelledByAnyone) {
  serve();
  Fate fate;
  const Timer timer = arm_for_loop(fate, loops() - 1, 1h);
  EXPECT_TRUE(timer.cancel());
  EXPECT_TRUE(fate.wait_for_end());
  Fate other;
  Gate over;
  const Timer cancelled = arm_for_loop(other, loops() - 1, 1h);
  EXPECT_TRUE(server_->handle().post(loops() - 1, [&] {
    EXPECT_TRUE(cancelled.cancel());
    EXPECT_FALSE(cancelled.cancel());
    over.open();
    return Action::None;
  }));
  EXPECT_TRUE(over.wait());
  EXPECT_TRUE(other.wait_for_end());
  EXPECT_EQ(fate.runs() + other.runs(), 0u);
  EXPECT_NE(other.where(), std::this_thread::get_id());
}

// A function of some size, which must lie where its type demands.
template <std::size_t size, std::size_t alignment>
struct Large {
  explicit Large(Fate& fate) : token(fate.token()) { bytes.fill('x'); }

  Action operator()() {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes.data()) % alignment, 0u);
    EXPECT_EQ(std::ranges::count(bytes, 'x'), static_cast<std::ptrdiff_t>(size));
    token.run();
    return Action::None;
  }
  Action operator()(Conn&, Output&) { return (*this)(); }

  alignas(alignment) std::array<char, size> bytes{};
  Fate::Token token;
};

template <std::size_t size, std::size_t alignment>
void expect_runs(const Conn& conn, const Server& server) {
  SCOPED_TRACE(std::to_string(size) + " bytes aligned to " + std::to_string(alignment));
  Fate of_conn;
  Fate of_loop;
  Fate cancelled;
  conn.post_after(0ns, Large<size, alignment>(of_conn));
  server.post_after(0, 0ns, Large<size, alignment>(of_loop));
  EXPECT_TRUE(conn.post_after(1h, Large<size, alignment>(cancelled)).cancel());
  for (const Fate* fate : {&of_conn, &of_loop, &cancelled}) EXPECT_TRUE(fate->wait_for_end());
  EXPECT_EQ(of_conn.runs() + of_loop.runs(), 2u);
  EXPECT_EQ(cancelled.runs(), 0u);
}

TEST_P(TimerTest, AreOfAnySizeAndAlignment) {
  serve();
  const Client client = connect();
  expect_runs<1, 1>(conn_, server_->handle());
  expect_runs<8, 8>(conn_, server_->handle());
  expect_runs<16, 16>(conn_, server_->handle());
  expect_runs<24, 8>(conn_, server_->handle());
  expect_runs<32, 1>(conn_, server_->handle());
  expect_runs<64, 64>(conn_, server_->handle());
  expect_runs<8, 256>(conn_, server_->handle());
  expect_runs<5000, 1>(conn_, server_->handle());
}

}  // namespace
}  // namespace evio::test
