// The look before a rest of internal/note_queue.hpp: what comes meanwhile costs no wake-up. The queue is compiled into
// this program once more, with pauses in which something may happen: how two threads meet is else for the scheduler to
// say.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <system_error>

#include "evio/detail/ref_counted.hpp"

namespace evio::internal {

// What is done in each pause between two looks.
std::function<void()> in_a_pause;
void pause_of_the_test() {
  if (in_a_pause) in_a_pause();
}

}  // namespace evio::internal

#define cpu_relax relax_of_the_library
#include "internal/base/cpu_relax.hpp"
#undef cpu_relax
#define cpu_relax pause_of_the_test
#include "internal/loop/note_queue.cpp"
#undef cpu_relax

namespace evio::internal {
namespace {

/// Counts.
class FakePoller final : public Poller {
 public:
  std::error_code add(int, Interest, Pollable&) override { return {}; }
  std::error_code modify(int, Interest, Pollable&) override { return {}; }
  void remove(int) override {}
  Ready wait(std::chrono::nanoseconds) override { return {}; }
  bool wake() noexcept override {
    ++wakes;
    return true;
  }
  int wakes = 0;
};

class Subject final : public NoteTarget {
 public:
  void on_request() noexcept override {}
  void on_continue() noexcept override {}
  void on_flush() noexcept override {}
  void on_adopt(RefPtr<NoteTarget>) noexcept override {}

 private:
  ~Subject() override = default;
};

class NoteQueueLookTest : public testing::Test {
 protected:
  ~NoteQueueLookTest() override {
    in_a_pause = nullptr;
    queue_->close();
  }

  void post() { EXPECT_TRUE(queue_->post({Note::Kind::kAdopt, RefPtr<NoteTarget>(new Subject)})); }
  int take_all() {
    std::array<Note, 4> notes;
    int all = 0;
    while (const std::size_t count = queue_->pop_bulk(notes)) {
      for (Note& note : std::span(notes).first(count)) note = {};
      all += static_cast<int>(count);
    }
    return all;
  }
  // The pauses of a rest in which nothing comes.
  int pauses() {
    int count = 0;
    in_a_pause = [&] { ++count; };
    EXPECT_TRUE(queue_->prepare_wait());
    in_a_pause = nullptr;
    return count;
  }

  FakePoller poller_;
  RefPtr<NoteQueue> queue_{new NoteQueue(0, poller_)};
};

TEST_F(NoteQueueLookTest, TakesThirtyPauses) { EXPECT_EQ(pauses(), 30); }

TEST_F(NoteQueueLookTest, FindsWhatComesMeanwhileWithoutAWakeUp) {
  for (int when = 0; when < 30; ++when) {
    SCOPED_TRACE("in pause " + std::to_string(when));
    post();
    EXPECT_EQ(take_all(), 1);
    const int wakes = poller_.wakes;
    int pause = 0;
    in_a_pause = [&] {
      if (pause++ == when) post();
    };
    EXPECT_FALSE(queue_->prepare_wait());
    EXPECT_LE(pause, when + 5) << "it went on pausing";
    EXPECT_EQ(poller_.wakes, wakes);
    EXPECT_EQ(take_all(), 1);
  }
  pauses();
  const int wakes = poller_.wakes;
  post();
  EXPECT_EQ(poller_.wakes, wakes + 1) << "it has gone to rest";
}

}  // namespace
}  // namespace evio::internal
