// What other threads leave for a connection: internal/mailbox.hpp.
#include "internal/mailbox.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "internal/output_access.hpp"
#include "tests/support/process.hpp"
#include "tests/support/sync.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::internal {
namespace {

class InternalMailboxTest : public testing::Test {
 protected:
  using Asked = Mailbox::Asked;

  Asked add(std::string_view text) {
    bool failed = false;
    const Asked asked = mailbox_.add([&](Output& texts) { texts.append(text); }, failed);
    EXPECT_FALSE(failed);
    return asked;
  }
  // What the loop comes to do, in order: texts as they are, "!" for a call of data.
  std::string take() {
    std::string done;
    for (bool more = true; more;) {
      const Mailbox::Mail mail = mailbox_.take();
      if (mail.texts != nullptr) done += OutputAccess::text(mail.texts->text);
      if (mail.woken) done += "!";
      more = mail.more;
    }
    return done;
  }

  test::Watchdog watchdog_{"InternalMailboxTest", test::kWatchdogLimit};
  Mailbox mailbox_;
};

TEST_F(InternalMailboxTest, AsksForOneNoteUntilTheLoopHasLooked) {
  EXPECT_EQ(add("one "), Asked::kPost);
  EXPECT_EQ(add("two "), Asked::kNoted);
  EXPECT_EQ(mailbox_.wake(), Asked::kNoted);
  EXPECT_EQ(mailbox_.wake(), Asked::kNoted);
  EXPECT_TRUE(mailbox_.has_texts());
  EXPECT_EQ(take(), "one two !");
  EXPECT_FALSE(mailbox_.has_texts());
  EXPECT_EQ(add("three"), Asked::kPost);
  EXPECT_EQ(take(), "three");
  EXPECT_EQ(take(), "");
  EXPECT_EQ(mailbox_.wake(), Asked::kPost);
  EXPECT_EQ(take(), "!");
}

TEST_F(InternalMailboxTest, WhatWasSentBehindAWakeStaysBehindIt) {
  mailbox_.wake();
  add("a");
  EXPECT_EQ(take(), "!a");
  add("a");
  mailbox_.wake();
  add("b");
  mailbox_.wake();
  add("c");
  EXPECT_EQ(take(), "a!bc") << "a wake that waits will do for a second one";
}

TEST_F(InternalMailboxTest, WhatComesDuringADataCallIsFoundWithoutANoteWhileThereIsMore) {
  add("a");
  mailbox_.wake();
  add("b");
  EXPECT_TRUE(mailbox_.take().more);
  EXPECT_TRUE(mailbox_.has_texts()) << "what is behind the wake is to be sent before the connection may close";
  EXPECT_EQ(add("c"), Asked::kNoted);
  EXPECT_EQ(mailbox_.wake(), Asked::kNoted);
  EXPECT_EQ(add("d"), Asked::kNoted);
  EXPECT_EQ(take(), "bc!d");
  EXPECT_FALSE(mailbox_.has_texts());
}

TEST_F(InternalMailboxTest, GivesTheTextsAloneAndKeepsTheWake) {
  EXPECT_EQ(mailbox_.take_texts(), nullptr);
  add("a");
  mailbox_.wake();
  add("b");
  const auto texts = mailbox_.take_texts();
  ASSERT_NE(texts, nullptr);
  EXPECT_EQ(OutputAccess::text(texts->text), "a");
  ASSERT_NE(texts->behind_wake, nullptr);
  EXPECT_EQ(OutputAccess::text(texts->behind_wake->text), "b");
  EXPECT_FALSE(mailbox_.has_texts());
  EXPECT_EQ(add("c"), Asked::kNoted) << "the note is under way still";
  EXPECT_EQ(take(), "!c");
}

TEST_F(InternalMailboxTest, TakesNothingOnceItIsClosedAndKeepsWhatItHas) {
  EXPECT_EQ(add("before"), Asked::kPost);
  EXPECT_EQ(mailbox_.wake(), Asked::kNoted);
  EXPECT_EQ(mailbox_.close(), Asked::kNoted);
  EXPECT_TRUE(mailbox_.closed());
  EXPECT_EQ(mailbox_.close(), Asked::kRefused);
  EXPECT_EQ(add("after"), Asked::kRefused);
  EXPECT_EQ(mailbox_.wake(), Asked::kRefused);
  EXPECT_EQ(take(), "before");
  EXPECT_TRUE(mailbox_.take_wake()) << "it is for the loop to say whether it counts still";
  EXPECT_FALSE(mailbox_.take_wake());
}

// The one who is at the texts goes by whether a note is under way; a refused call, which posts none, must not say so.
TEST_F(InternalMailboxTest, ARefusedCallAnnouncesNoNote) {
  bool failed = false;
  const auto meanwhile = [&](Output& texts) {
    mailbox_.refuse();
    EXPECT_EQ(mailbox_.wake(), Asked::kRefused);
    EXPECT_EQ(mailbox_.close(), Asked::kRefused);
    texts.append("taken");
  };
  EXPECT_EQ(mailbox_.add(meanwhile, failed), Asked::kPost);
  EXPECT_EQ(take(), "taken");
}

TEST_F(InternalMailboxTest, TheLoopPassesByWhoIsInsideAndIsTold) {
  EXPECT_EQ(mailbox_.wake(), Asked::kPost);
  bool failed = false;
  const auto meanwhile = [&](Output& texts) {
    texts.append("slow");
    EXPECT_TRUE(mailbox_.has_texts());
    EXPECT_EQ(mailbox_.take_texts(), nullptr);
    EXPECT_EQ(take(), "") << "it did not wait";
    EXPECT_EQ(mailbox_.wake(), Asked::kNoted);
  };
  EXPECT_EQ(mailbox_.add(meanwhile, failed), Asked::kPost) << "the note that was under way is used up";
  EXPECT_EQ(take(), "!slow");
}

TEST_F(InternalMailboxTest, WithoutMemoryTheLoopIsToldAllTheSame) {
  bool failed = false;
  const auto meanwhile = [&](Output&) {
    EXPECT_EQ(take(), "");
    throw std::bad_alloc();
  };
  EXPECT_EQ(mailbox_.add(meanwhile, failed), Asked::kPost);
  EXPECT_TRUE(failed);
  EXPECT_EQ(take(), "");
  EXPECT_FALSE(mailbox_.has_texts());
}

TEST_F(InternalMailboxTest, OthersSleepWhileSomeoneIsInside) {
  constexpr int kOthers = 3;
  std::vector<std::thread> others;
  bool failed = false;
  const auto meanwhile = [&](Output& texts) {
    test::Counter begun;
    for (int i = 0; i < kOthers; ++i) {
      others.emplace_back([&, i] {
        begun.add();
        add(std::to_string(i));
      });
    }
    EXPECT_TRUE(begun.wait_for(kOthers));
    EXPECT_TRUE(test::comes_to_rest());
    texts.append("first");
  };
  EXPECT_EQ(mailbox_.add(meanwhile, failed), Asked::kPost);
  for (std::thread& other : others) other.join();
  const std::string texts = take();
  EXPECT_EQ(texts.size(), 5u + kOthers);
  EXPECT_EQ(texts.substr(0, 5), "first");
}

// Whatever any of them does, the loop ends up with all of it, each thread's in order, and hears of it by a note.
TEST_F(InternalMailboxTest, LosesNothingOfManyThreadsAndKeepsTheOrderOfEach) {
  constexpr std::size_t kThreads = 4;
  constexpr std::uint32_t kEach = test::kSanitized ? 3'000 : 100'000;
  std::atomic<int> notes{0};
  std::atomic<std::size_t> running{kThreads};
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint32_t i = 0; i < kEach; ++i) {
        const std::array<std::uint32_t, 2> content{t, i};
        if (add({reinterpret_cast<const char*>(content.data()), sizeof content}) == Asked::kPost) ++notes;
        if (i % 8 == 0 && mailbox_.wake() == Asked::kPost) ++notes;
      }
      --running;
    });
  }
  std::array<std::uint32_t, kThreads> next{};
  std::size_t wakes = 0;
  for (bool over = false; !over;) {
    over = running == 0;  // before the look: what was added before the end is there
    if (notes == 0) continue;
    --notes;
    for (bool more = true; more;) {
      const Mailbox::Mail mail = mailbox_.take();
      const std::string_view texts = mail.texts == nullptr ? "" : OutputAccess::text(mail.texts->text);
      for (std::size_t at = 0; at < texts.size(); at += 8) {
        std::array<std::uint32_t, 2> content{};
        std::memcpy(content.data(), texts.data() + at, sizeof content);
        ASSERT_EQ(content[1], next.at(content[0])++);
      }
      wakes += mail.woken ? 1 : 0;
      more = mail.more;
    }
    over = over && notes == 0;
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::uint32_t count : next) EXPECT_EQ(count, kEach);
  EXPECT_GT(wakes, 0u);
  EXPECT_FALSE(mailbox_.has_texts());
  EXPECT_FALSE(mailbox_.take_wake());
}

}  // namespace
}  // namespace evio::internal
