// The wake protocol of internal/note_queue.hpp, with a poller that counts.
#include "internal/loop/note_queue.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "evio/detail/ref_counted.hpp"
#include "internal/poll/poller.hpp"
#include "tests/support/enough.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::internal {
namespace {

/// Waits for nothing but a wake-up.
class FakePoller final : public Poller {
 public:
  std::error_code add(int, Interest, Pollable&) override { return {}; }
  std::error_code modify(int, Interest, Pollable&) override { return {}; }
  void remove(int) override {}
  Ready wait(std::chrono::nanoseconds) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return woken_; });
    woken_ = false;
    return {};
  }
  bool wake() noexcept override {
    if (const auto hook = std::exchange(during_wake, nullptr)) hook();
    const std::lock_guard lock(mutex_);
    ++wakes_;
    if (broken) return false;
    woken_ = true;
    changed_.notify_one();
    return true;
  }
  std::function<void()> during_wake;  // of the next one
  bool broken = false;
  int wakes() const {
    const std::lock_guard lock(mutex_);
    return wakes_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  int wakes_ = 0;
};

using Numbers = std::vector<std::uint64_t>;

/// What notes are about here; counts those that are gone.
class Subject final : public NoteTarget {
 public:
  Subject(std::uint64_t made_by, std::uint64_t given, std::atomic<int>& gone)
      : producer(made_by), number(given), gone_(gone) {}
  const std::uint64_t producer;
  const std::uint64_t number;

  void on_request() noexcept override {}
  void on_continue() noexcept override {}
  void on_flush() noexcept override {}
  void on_adopt(RefPtr<NoteTarget>) noexcept override {}

 private:
  ~Subject() override { ++gone_; }
  std::atomic<int>& gone_;
};

class NoteQueueTest : public testing::Test {
 protected:
  ~NoteQueueTest() override { queue_->close(); }

  bool post(std::uint64_t number, std::uint64_t producer = 0) {
    return queue_->post({Note::Kind::kRequest, RefPtr<NoteTarget>(new Subject(producer, number, gone_))});
  }
  // Everything in it, in order, to taken(Subject).
  template <class Taken>
  void take_all(Taken taken) {
    std::array<Note, 4> notes;
    while (const std::size_t count = queue_->pop_bulk(notes)) {
      for (Note& note : std::span(notes).first(count)) {
        taken(static_cast<const Subject&>(*note.about));
        note = {};
      }
    }
  }
  Numbers take_all() {
    Numbers numbers;
    take_all([&](const Subject& subject) { numbers.push_back(subject.number); });
    return numbers;
  }

  test::Watchdog watchdog_{"NoteQueueTest", test::kWatchdogLimit};
  FakePoller poller_;
  std::atomic<int> gone_ = 0;
  RefPtr<NoteQueue> queue_{new NoteQueue(3, poller_)};
};

TEST_F(NoteQueueTest, WakesThePollerForTheFirstNoteOnly) {
  EXPECT_FALSE(queue_->armed());
  for (std::uint64_t i = 1; i <= 5; ++i) EXPECT_TRUE(post(i));
  EXPECT_TRUE(queue_->armed());
  EXPECT_EQ(poller_.wakes(), 1);
  EXPECT_FALSE(queue_->prepare_wait()) << "there are notes";
  EXPECT_EQ(take_all(), (Numbers{1, 2, 3, 4, 5}));
  EXPECT_TRUE(queue_->prepare_wait());
  EXPECT_FALSE(queue_->armed());
  EXPECT_TRUE(post(6));
  EXPECT_EQ(poller_.wakes(), 2);
  EXPECT_EQ(take_all(), Numbers{6});
}

TEST_F(NoteQueueTest, KeepsWhatItsOwnThreadPostsApartAndWakesNoOne) {
  {
    queue_->enter_thread();
    EXPECT_TRUE(queue_->on_loop_thread());
    EXPECT_TRUE(post(7));
    queue_->leave_thread();
  }
  EXPECT_FALSE(queue_->on_loop_thread());
  EXPECT_EQ(poller_.wakes(), 0);
  EXPECT_EQ(take_all(), Numbers{});
  ASSERT_EQ(queue_->local().size(), 1u);
  EXPECT_EQ(static_cast<Subject&>(*queue_->local()[0].about).number, 7u);
}

TEST_F(NoteQueueTest, GivesEachSignalOnce) {
  EXPECT_EQ(queue_->take_signals(), Signal::kNone);
  queue_->post(Signal::kSweep);
  EXPECT_EQ(poller_.wakes(), 1);
  queue_->post(Signal::kShutdown);
  queue_->post(Signal::kShutdown);
  EXPECT_EQ(poller_.wakes(), 1);
  EXPECT_FALSE(queue_->prepare_wait());
  EXPECT_EQ(queue_->take_signals(), Signal::kShutdown | Signal::kSweep);
  EXPECT_EQ(queue_->take_signals(), Signal::kNone);
  EXPECT_TRUE(queue_->prepare_wait());
}

TEST_F(NoteQueueTest, LetsGoOfWhatIsLeftWhenItClosesAndTakesNoMore) {
  EXPECT_TRUE(post(1));
  {
    queue_->enter_thread();
    EXPECT_TRUE(post(2));
    queue_->leave_thread();
  }
  queue_->close();
  EXPECT_EQ(gone_, 2);
  const int wakes = poller_.wakes();
  EXPECT_FALSE(post(3));
  EXPECT_EQ(gone_, 3) << "a note that is not taken lets go all the same";
  queue_->post(Signal::kShutdown);
  EXPECT_EQ(poller_.wakes(), wakes) << "the poller may be gone by now";
}

TEST_F(NoteQueueTest, WaitsWithClosingForThoseInside) {
  std::atomic<bool> closed{false};
  std::thread closer;
  poller_.during_wake = [&] {
    closer = std::thread([&] {
      queue_->close();
      closed = true;
    });
    std::thread another([&] {
      while (post(1)) std::this_thread::yield();  // until close() has begun
    });
    another.join();
    EXPECT_FALSE(closed) << "this thread is about to touch the poller";
  };
  queue_->post(Signal::kShutdown);
  closer.join();
}

TEST_F(NoteQueueTest, TriesAgainAfterAWakeUpThatFailed) {
  poller_.broken = true;
  EXPECT_TRUE(post(1));
  EXPECT_EQ(poller_.wakes(), 1);
  EXPECT_FALSE(queue_->armed());
  poller_.broken = false;
  EXPECT_TRUE(post(2));
  EXPECT_EQ(poller_.wakes(), 2);
  std::size_t taken = 0;
  take_all([&](const Subject&) { ++taken; });
  EXPECT_EQ(taken, 2u);
}

// A note that neither the look before a rest sees nor a wake-up announces leaves the consumer in wait() for ever.
TEST_F(NoteQueueTest, KeepsEachProducersOrder) {
  constexpr std::size_t kProducers = 4;
  constexpr std::uint64_t kBatch = 100;
  const test::Enough enough(test::kSanitized ? 50 : 500);
  std::atomic<std::uint64_t> taken{0};
  std::atomic<std::uint64_t> posted{0};
  std::atomic<std::size_t> running{kProducers};
  std::vector<std::thread> producers;
  for (std::uint64_t producer = 0; producer < kProducers; ++producer) {
    producers.emplace_back([&, producer] {
      std::uint64_t i = 0;
      for (std::uint64_t batches = 0; !enough.reached(batches); ++batches) {
        for (const std::uint64_t end = i + kBatch; i != end; ++i) EXPECT_TRUE(post(i, producer));
        // Now and then lets the consumer fall asleep.
        const std::uint64_t until = posted += kBatch;
        while (taken.load() < until) std::this_thread::yield();
      }
      --running;
      queue_->post(Signal::kShutdown);
    });
  }
  std::array<std::uint64_t, kProducers> next{};
  while (running.load() != 0 || taken.load() != posted.load()) {
    poller_.wait({});
    do {
      queue_->take_signals();
      std::uint64_t count = 0;
      take_all([&](const Subject& subject) {
        EXPECT_EQ(subject.number, next[static_cast<std::size_t>(subject.producer)]++);
        ++count;
      });
      taken += count;
    } while (!queue_->prepare_wait());
  }
  for (std::thread& thread : producers) thread.join();
  EXPECT_LE(poller_.wakes(), static_cast<int>(posted.load() + kProducers));
}

// Each note is posted a little later behind the taking of the one before, and so at each moment of the rest.
TEST_F(NoteQueueTest, LosesNoNoteThatComesWhileItGoesToRest) {
  const test::Enough enough(test::kSanitized ? 20'000 : 150'000);
  std::atomic<std::uint64_t> taken{0};
  std::atomic<bool> over{false};
  std::thread producer([&] {
    for (std::uint64_t i = 0; !enough.reached(i); ++i) {
      for (int looks = 0; taken.load() < i; ++looks) {
        if (looks > 1000) std::this_thread::yield();
      }
      for (std::atomic<std::uint64_t> pause = i % 256; pause != 0;) --pause;
      EXPECT_TRUE(post(i));
    }
    over = true;
    queue_->post(Signal::kShutdown);
  });
  while (!over) {
    poller_.wait({});
    do {
      queue_->take_signals();
      take_all([&](const Subject&) { ++taken; });
    } while (!queue_->prepare_wait());
  }
  producer.join();
}

}  // namespace
}  // namespace evio::internal
