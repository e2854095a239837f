// The wake protocol of internal/note_queue.hpp, with a poller that counts.
#include "internal/note_queue.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "internal/poller.hpp"
#include "internal/ref.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::internal {
namespace {

/// Waits for nothing but a wake-up.
class FakePoller final : public Poller {
 public:
  std::error_code add(int, Interest, void*) override { return {}; }
  std::error_code modify(int, Interest, void*) override { return {}; }
  void remove(int) override {}
  std::span<const Ready> wait(std::chrono::nanoseconds) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return woken_; });
    woken_ = false;
    return {};
  }
  void wake() noexcept override {
    const std::lock_guard lock(mutex_);
    ++wakes_;
    woken_ = true;
    changed_.notify_one();
  }
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

/// What notes are about here; says when it goes.
class Subject final : public Counted {
 public:
  explicit Subject(int& gone) : gone_(gone) {}

 private:
  ~Subject() override { ++gone_; }
  int& gone_;
};

class InternalNoteQueueTest : public testing::Test {
 protected:
  ~InternalNoteQueueTest() override { queue_->close(); }

  bool post(std::string_view text) { return queue_->post(Note::send_text(*subject_, text)); }
  // Everything in it, in order.
  std::vector<std::string> take_all() {
    std::vector<std::string> texts;
    std::array<Note, 4> notes;
    while (const std::size_t count = queue_->take(notes)) {
      for (Note& note : std::span(notes).first(count)) {
        texts.emplace_back(note.text, note.text_size);
        note.discard();
      }
    }
    return texts;
  }

  using Texts = std::vector<std::string>;
  test::Watchdog watchdog_{"InternalNoteQueueTest", test::kWatchdogLimit};
  FakePoller poller_;
  int gone_ = 0;
  Ref<Subject> subject_{new Subject(gone_)};
  Ref<NoteQueue> queue_{new NoteQueue(3, poller_)};
};

TEST_F(InternalNoteQueueTest, WakesThePollerForTheFirstNoteOnly) {
  EXPECT_FALSE(queue_->armed());
  for (const char* text : {"1", "2", "3", "4", "5"}) EXPECT_TRUE(post(text));
  EXPECT_TRUE(queue_->armed());
  EXPECT_EQ(poller_.wakes(), 1);
  queue_->disarm();
  EXPECT_EQ(take_all(), (Texts{"1", "2", "3", "4", "5"}));
  EXPECT_TRUE(post("6"));
  EXPECT_EQ(poller_.wakes(), 2);
  EXPECT_EQ(take_all(), Texts{"6"});
}

TEST_F(InternalNoteQueueTest, KeepsWhatItsOwnThreadPostsApartAndWakesNoOne) {
  {
    const NoteQueue::OnThisThread here(*queue_);
    EXPECT_TRUE(queue_->on_loop_thread());
    EXPECT_TRUE(post("own"));
  }
  EXPECT_FALSE(queue_->on_loop_thread());
  EXPECT_EQ(poller_.wakes(), 0);
  EXPECT_EQ(take_all(), Texts{});
  ASSERT_EQ(queue_->own().size(), 1u);
  EXPECT_EQ(std::string(queue_->own()[0].text, 3), "own");
}

TEST_F(InternalNoteQueueTest, SaysOnceThatANoteWasLost) {
  EXPECT_FALSE(queue_->lost());
  queue_->lose();
  EXPECT_EQ(poller_.wakes(), 1);
  EXPECT_TRUE(queue_->lost());
  EXPECT_FALSE(queue_->lost());
}

TEST_F(InternalNoteQueueTest, LetsGoOfWhatIsLeftWhenItClosesAndTakesNoMore) {
  EXPECT_TRUE(post("left"));
  {
    const NoteQueue::OnThisThread here(*queue_);
    EXPECT_TRUE(post("left too"));
  }
  EXPECT_TRUE(queue_->post(Note::send(*subject_, Bytes::copy("bytes"))));
  queue_->close();
  EXPECT_TRUE(subject_->unshared());
  const int wakes = poller_.wakes();
  EXPECT_FALSE(post("late"));
  EXPECT_FALSE(queue_->post(Note::adopt(subject_.detach())));
  EXPECT_EQ(gone_, 1) << "a note that is not taken lets go all the same";
  queue_->wake();
  queue_->lose();
  EXPECT_EQ(poller_.wakes(), wakes) << "the poller may be gone by now";
  EXPECT_FALSE(NoteQueue::Guard(*queue_).entered());
}

TEST_F(InternalNoteQueueTest, WaitsWithClosingForThoseInside) {
  std::atomic<bool> closed{false};
  std::thread closer;
  {
    const NoteQueue::Guard guard(*queue_);
    ASSERT_TRUE(guard.entered());
    closer = std::thread([&] {
      queue_->close();
      closed = true;
    });
    while (NoteQueue::Guard(*queue_).entered()) std::this_thread::yield();
    EXPECT_FALSE(closed);
  }
  closer.join();
}

// A note that neither the drain sees nor a wake-up announces leaves the consumer in wait() for ever.
TEST_F(InternalNoteQueueTest, LosesNothingOfSeveralProducersAndKeepsTheOrderOfEach) {
  constexpr std::uint64_t kProducers = 4;
  constexpr std::uint64_t kEach = test::kSanitized ? 5'000 : 50'000;
  std::atomic<std::uint64_t> taken{0};
  std::vector<std::thread> producers;
  for (std::uint64_t producer = 0; producer < kProducers; ++producer) {
    producers.emplace_back([&, producer] {
      for (std::uint64_t i = 0; i < kEach; ++i) {
        const std::array<std::uint64_t, 2> content{producer, i};
        EXPECT_TRUE(post({reinterpret_cast<const char*>(content.data()), sizeof content}));
        // Now and then lets the consumer fall asleep.
        if (i % 100 == 99) {
          while (taken.load() <= i) std::this_thread::yield();
        }
      }
    });
  }
  std::array<std::uint64_t, kProducers> next{};
  while (taken.load() != kProducers * kEach) {
    poller_.wait({});
    queue_->disarm();
    const Texts texts = take_all();
    for (const std::string& text : texts) {
      std::array<std::uint64_t, 2> content{};
      std::memcpy(content.data(), text.data(), sizeof content);
      EXPECT_EQ(content[1], next[content[0]]++);
    }
    taken += texts.size();
  }
  for (std::thread& thread : producers) thread.join();
  EXPECT_LE(poller_.wakes(), static_cast<int>(kProducers * kEach));
}

}  // namespace
}  // namespace evio::internal
