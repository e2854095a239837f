// The turn of a loop, step by step: what it calls in which order, how long it waits, and how it ends.
#include "internal/loop/loop.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

#include "tests/unit/loop/loop_fixture.hpp"

namespace evio::internal {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

TEST_F(LoopTest, ATurnIsListenersNotesOthersTimersAndWhatWasClosed) {
  const auto listener = make("listener");
  const auto note = make("note");
  const auto other = make("other");
  auto closed = make("closed");
  listener->then = [&] { loop_->release_later(RefPtr<Endpoint>(closed.detach())); };
  loop_->timers().arm(timer_, Timer::Clock::now() + 1s);
  run({[&] {
    poller_.report(*other);
    poller_.report_listener(*listener);
    post_from_elsewhere(note);
    clock_.advance(1s);
  }});
  EXPECT_EQ(before_shutdown(), (Names{"listener", "note request", "other", "timer", "closed freed"}));
}

TEST_F(LoopTest, EachNoteIsHandledByItsKindOwnOnesFirst) {
  const auto own = make("own");
  const auto foreign = make("foreign");
  run({[&] {
    post_from_elsewhere(foreign);
    post(own, Note::Kind::kFlush);
    post(own, Note::Kind::kAdopt);
    post(own, Note::Kind::kRequest);
  }});
  EXPECT_EQ(before_shutdown(), (Names{"own flush", "own adopt", "own request", "foreign request"}));
}

TEST_F(LoopTest, NotesAboutOneObjectKeepItUntilTheyAreHandled) {
  auto note = make("note");
  run({[&] {
         post(note);
         note = {};
       },
       [&] { log_.emplace_back("next turn"); }});
  EXPECT_EQ(before_shutdown(), (Names{"note request", "note freed", "next turn"}));
}

TEST_F(LoopTest, WaitsForEverWithNothingToDo) {
  const auto other = make("other");
  run({[&] { poller_.report(*other); }, [] {}});
  ASSERT_EQ(poller_.timeouts().size(), 3u);
  for (const auto timeout : poller_.timeouts()) EXPECT_LT(timeout, 0ns);
}

TEST_F(LoopTest, WaitsUntilTheNextTimer) {
  loop_->timers().arm(timer_, Timer::Clock::now() + 200ms);
  run({[&] { clock_.advance(150ms); }, [&] { clock_.advance(50ms - 1ns); }, [&] { clock_.advance(1us); },
       [&] { EXPECT_EQ(count("timer"), 1u); }});
  const auto& waits = poller_.timeouts();
  EXPECT_EQ((std::vector(waits.begin(), waits.begin() + 4)), (std::vector<nanoseconds>{200ms, 50ms, 1ns, -1ns}));
}

TEST_F(LoopTest, DoesNotWaitWhereATimerIsOverdue) {
  loop_->timers().arm(timer_, Timer::Clock::now() - 5s);
  run({[] {}});
  EXPECT_EQ(poller_.timeouts().front(), 0ns);
  EXPECT_EQ(count("timer"), 1u);
}

TEST_F(LoopTest, DoesNotWaitWhileItHasNotes) {
  const auto own = make("own");
  const auto foreign = make("foreign");
  const auto other = make("other");
  other->then = [&] { post(own); };
  std::vector<nanoseconds> waits;
  const auto note_wait = [&] { waits.push_back(poller_.last_timeout()); };
  run({[&] { poller_.report(*other); },
       [&] {
         note_wait();
         other->then = [&] { post_from_elsewhere(foreign); };
         poller_.report(*other);
       },
       note_wait, note_wait});
  EXPECT_EQ(before_shutdown(), (Names{"other", "own request", "other", "foreign request"}));
  EXPECT_EQ(waits, (std::vector<nanoseconds>{0ns, 0ns, -1ns}));
}

TEST_F(LoopTest, HandlesANoteThatComesInATurnAfterTheNextOnesListeners) {
  const auto note = make("note");
  const auto listener = make("listener");
  const auto other = make("other");
  other->then = [&] { post_from_elsewhere(note); };
  run({[&] { poller_.report(*other); }, [&] { poller_.report_listener(*listener); }});
  EXPECT_EQ(before_shutdown(), (Names{"other", "listener", "note request"}));
}

TEST_F(LoopTest, TakesTwoHundredAndFiftySixNotesATurn) {
  const auto note = make("note");
  const auto other = make("other");
  std::vector<std::size_t> handled;
  const auto turn = [&] {
    handled.push_back(count("note request"));
    poller_.report(*other);
    if (handled.size() > 1) {
      EXPECT_EQ(poller_.last_timeout(), 0ns);
    }
  };
  run({[&] {
         turn();
         post_from_elsewhere(note, 600);
       },
       turn, turn, [&] { handled.push_back(count("note request")); }});
  EXPECT_EQ(handled, (std::vector<std::size_t>{0, 256, 512, 600}));
  // The others had their turns in between.
  EXPECT_EQ(log_.at(256), "other");
  EXPECT_EQ(log_.at(256 + 1 + 256), "other");
}

TEST_F(LoopTest, NotesThatTheirOwnHandlingPostsWaitForTheNextTurn) {
  const auto note = make("note");
  const auto other = make("other");
  note->then = [&] {
    if (count("note request") < 3) post(note);
  };
  run({[&] {
         poller_.report(*other);
         post(note);
       },
       [&] { poller_.report(*other); }, [] {}});
  EXPECT_EQ(before_shutdown(), (Names{"note request", "other", "note request", "other", "note request"}));
}

TEST_F(LoopTest, ALocalNoteWakesNobody) {
  const auto own = make("own");
  const auto other = make("other");
  other->then = [&] { post(own); };
  run({[&] {
         post(own);
         poller_.report(*other);
       },
       [&] { EXPECT_EQ(poller_.wakes(), 0); }});
  EXPECT_EQ(count("own request"), 2u);
}

TEST_F(LoopTest, IsWokenOnceAndNotAgainBeforeItHasGoneBackToWait) {
  const auto note = make("note");
  const auto other = make("other");
  other->then = [&] { post_from_elsewhere(note, 10); };
  run({[&] {
         post_from_elsewhere(note, 10);
         EXPECT_EQ(poller_.wakes(), 1);
         poller_.report(*other);
       },
       [&] { EXPECT_EQ(poller_.wakes(), 1) << "it was at work"; },
       [&] {
         EXPECT_EQ(count("note request"), 20u);
         post_from_elsewhere(note);
         EXPECT_EQ(poller_.wakes(), 2);
       }});
}

TEST_F(LoopTest, AClosedEndpointLivesToTheEndOfItsTurn) {
  auto first = make("first");
  Subject* const closed = first.get();
  first->then = [&] {
    first->then = nullptr;
    loop_->release_later(RefPtr<Endpoint>(first.detach()));
  };
  run({[&] {
         poller_.report(*closed);
         poller_.report(*closed);
       },
       [&] { log_.emplace_back("next turn"); }});
  EXPECT_EQ(before_shutdown(), (Names{"first", "first", "first freed", "next turn"}));
}

TEST_F(LoopTest, WhatIsClosedAtTheEndIsFreedBeforeRunReturns) {
  auto left = make("left");
  at_end_ = [&] { loop_->release_later(RefPtr<Endpoint>(left.detach())); };
  run({});
  EXPECT_EQ(log_, (Names{"shutdown", "done?", "end", "left freed"}));
}

// What the end of something asks for comes when the turn has nothing else to do.
TEST_F(LoopTest, DoesNotWaitWhereTheEndOfATurnHasLeftWork) {
  const auto note = make("note");
  auto closed = make("closed");
  closed->at_end = [&] { post(note); };
  run({[&] { loop_->release_later(RefPtr<Endpoint>(closed.detach())); },
       [&] { EXPECT_EQ(poller_.last_timeout(), 0ns); }});
  EXPECT_EQ(before_shutdown(), (Names{"closed freed", "note request"}));
}

TEST_F(LoopTest, AnEndpointThatSomebodyStillHasIsNotFreed) {
  const auto kept = make("kept");
  run({[&] { loop_->release_later(RefPtr<Endpoint>(RefPtr(kept).detach())); }});
  EXPECT_EQ(before_shutdown(), Names{});
  EXPECT_EQ(count("kept freed"), 0u);
}

TEST_F(LoopTest, DispatchesNothingOnceTheServerShutsDown) {
  const auto first = make("first");
  const auto second = make("second");
  first->then = [&] { stop_.set(); };  // the signal comes later
  run({[&] {
    poller_.report(*first);
    poller_.report(*second);
    poller_.report(*first);
  }});
  EXPECT_EQ(log_, (Names{"first", "shutdown", "done?", "end"}));
  EXPECT_EQ(poller_.timeouts().at(1), 0ns) << "it knows without the signal";
}

TEST_F(LoopTest, ShutsDownBeforeItDispatchesIfAListenerHasSeenThatItMust) {
  const auto listener = make("listener");
  const auto other = make("other");
  listener->then = [&] { shut_down(); };
  run({[&] {
    poller_.report_listener(*listener);
    poller_.report(*other);
  }});
  EXPECT_EQ(log_, (Names{"listener", "shutdown", "other", "done?", "end"}));
}

TEST_F(LoopTest, ShutsDownOnceAndAsksWhetherItIsDoneOnlyThen) {
  const auto other = make("other");
  left_to_do_ = 2;
  run({[&] { log_.emplace_back("turn"); }, [&] { shut_down(); },
       [&] {
         poller_.report(*other);
         shut_down();
       }});
  EXPECT_EQ(log_, (Names{"turn", "shutdown", "done?", "other", "done?", "done?", "end"}));
}

TEST_F(LoopTest, WaitsForTimersWhileItDrains) {
  left_to_do_ = 1;
  loop_->timers().arm(timer_, Timer::Clock::now() + 100ms);
  run({[&] { shut_down(); },
       [&] {
         EXPECT_EQ(poller_.last_timeout(), 100ms);
         clock_.advance(100ms);
       }});
  EXPECT_EQ(log_, (Names{"shutdown", "done?", "timer", "done?", "end"}));
}

TEST_F(LoopTest, SignalsAreHandledOnceEachTheShutdownFirst) {
  const auto note = make("note");
  run({[&] {
         queue().post(Signal::kSweep);
         EXPECT_EQ(poller_.wakes(), 1);
       },
       [&] { queue().post(Signal::kTick); },
       [&] {
         post(note);
         queue().post(Signal::kTick);
         queue().post(Signal::kSweep);
         queue().post(Signal::kSweep);
         shut_down();
       }});
  EXPECT_EQ(log_, (Names{"sweep", "tick", "shutdown", "tick", "sweep", "note request", "done?", "end"}));
}

TEST_F(LoopTest, AHandlerMayHandleNotesItself) {
  const auto other = make("other");
  const auto note = make("note");
  bool first = false;
  bool second = false;
  other->then = [&] {
    post(note);
    post_from_elsewhere(note);
    first = loop_->handle_notes();
    second = loop_->handle_notes();
  };
  run({[&] { poller_.report(*other); }});
  EXPECT_EQ(before_shutdown(), (Names{"other", "note request", "note request"}));
  EXPECT_TRUE(first);
  EXPECT_FALSE(second);
}

TEST_F(LoopTest, ItsThreadIsTheOneInRun) {
  EXPECT_EQ(loop_->index(), 3);
  EXPECT_FALSE(loop_->on_thread());
  run({[&] { EXPECT_TRUE(loop_->on_thread()); }});
  EXPECT_FALSE(loop_->on_thread());
}

TEST_F(LoopTest, TakesNoNotesWhenItHasEnded) {
  const auto note = make("note");
  run({});
  EXPECT_FALSE(post(note));
  const auto queue = loop_->queue();
  loop_ = nullptr;
  EXPECT_FALSE(queue->post({Note::Kind::kRequest, RefPtr<NoteTarget>(RefPtr<Subject>(note).detach())}));
  EXPECT_TRUE(note->unshared()) << "it holds no notes";
  EXPECT_EQ(count("note request"), 0u);
}

/// Stands for a connection that moves so many bytes whenever it gets its turn. Thread-safety: one thread.
class BulkTest : public LoopTest {
 protected:
  struct Bulk final : Pollable {
    void on_ready() noexcept override {
      if (test->loop_->puts_off(*this, last_turn)) return;
      last_turn = test->loop_->turns();
      test->loop_->figures().bytes_read.add(bytes);
      test->log_.push_back(name);
    }
    BulkTest* test = nullptr;
    std::string name;
    std::size_t bytes = 256 * 1024;
    std::uint16_t last_turn = 0;
  };

  Bulk bulk(std::string name) {
    Bulk one;
    one.test = this;
    one.name = std::move(name);
    return one;
  }
};

TEST_F(BulkTest, ComesAfterTheOthers) {
  Bulk much = bulk("much");
  const auto before = make("before");
  const auto after = make("after");
  run({[&] {
    poller_.report(*before);
    poller_.report(much);
    poller_.report(*after);
  }});
  EXPECT_EQ(before_shutdown(), (Names{"before", "after", "much"}));
}

TEST_F(BulkTest, EachGetsATurnBeforeAnyGetsTwo) {
  Bulk a = bulk("a");
  Bulk b = bulk("b");
  Bulk c = bulk("c");
  const auto all = [&] {
    log_.emplace_back("turn");
    for (Bulk* one : {&a, &b, &c}) poller_.report(*one);
  };
  run({all, all, all, all, all});
  EXPECT_EQ(before_shutdown(), (Names{"turn", "a", "turn", "b", "turn", "c", "turn", "a", "turn", "b"}));
}

TEST_F(BulkTest, MoveAQuarterOfAMegabyteInATurn) {
  std::vector<Bulk> some(20, bulk("x"));
  for (Bulk& one : some) one.bytes = 40'000;
  std::size_t first = 0;
  run({[&] {
         for (Bulk& one : some) poller_.report(one);
       },
       [&] { first = count("x"); }});
  EXPECT_EQ(first, 7u);
  EXPECT_EQ(count("x"), 7u) << "the poller reports them again, and nobody else calls them";
}

TEST_F(BulkTest, MoveTwoMegabytesWhereNobodyElseWasReadyForSixtyFourTurns) {
  std::vector<Bulk> some(60, bulk("x"));
  for (Bulk& one : some) one.bytes = 40'000;
  const auto other = make("other");
  const auto all = [&] {
    log_.emplace_back("turn");
    for (Bulk& one : some) poller_.report(one);
  };
  std::deque<std::function<void()>> turns(64, all);
  turns.emplace_back([&] {
    all();
    poller_.report(*other);
  });
  run(turns);
  std::vector<std::size_t> moved;  // in each turn
  for (const std::string& name : log_) {
    if (name == "turn") moved.push_back(0);
    if (name == "x") ++moved.back();
  }
  std::vector<std::size_t> expected(63, 7);
  expected.insert(expected.end(), {53, 7});
  EXPECT_EQ(moved, expected);
}

TEST_F(BulkTest, IsServedAtOnceWhereTooManyAreReady) {
  std::vector<Bulk> many(300, bulk("x"));
  run({[&] {
    for (Bulk& one : many) poller_.report(one);
  }});
  EXPECT_EQ(count("x"), 45u);
}

TEST_F(BulkTest, IsNotCalledOnceTheServerShutsDown) {
  Bulk much = bulk("much");
  const auto other = make("other");
  other->then = [&] { stop_.set(); };
  run({[&] {
    poller_.report(much);
    poller_.report(*other);
  }});
  EXPECT_EQ(count("much"), 0u);
}

}  // namespace
}  // namespace evio::internal
