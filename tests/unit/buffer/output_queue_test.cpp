#include "internal/buffer/output_queue.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <new>
#include <random>
#include <string>

#include "internal/buffer/bytes_access.hpp"
#include "tests/support/unique_fd.hpp"
#include "tests/support/write_queue.hpp"

namespace {

int allocations_left = -1;  // until one fails; -1: none does

}  // namespace

void* operator new(std::size_t size) {
  if (allocations_left >= 0 && allocations_left-- == 0) throw std::bad_alloc();
  if (void* const memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"  // they are a pair with what is above
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#pragma GCC diagnostic pop

namespace evio::internal {
namespace {

class OutputQueueTest : public testing::Test {
 protected:
  OutputQueueTest() {
    std::array<int, 2> ends{-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), 0);
    near_ = test::UniqueFd(ends[0]);
    far_ = test::UniqueFd(ends[1]);
  }

  // What has arrived.
  std::string receive() {
    std::string text;
    std::array<char, 4096> buffer;
    for (ssize_t n = 0; (n = ::read(far_.get(), buffer.data(), buffer.size())) > 0;) {
      text.append(buffer.data(), static_cast<std::size_t>(n));
    }
    return text;
  }
  // At most a little of it.
  std::string receive_some() {
    std::array<char, 4096> buffer;
    const ssize_t n = ::read(far_.get(), buffer.data(), buffer.size());
    return {buffer.data(), n < 0 ? 0 : static_cast<std::size_t>(n)};
  }
  // Writes and reads in turns until all of it has arrived.
  std::string receive_all() {
    std::string text;
    for (test::Sent sent = test::Sent::kBlocked; sent != test::Sent::kAll;) {
      sent = test::write_queue(queue_, near_.get());
      EXPECT_NE(sent, test::Sent::kFailed);
      text += receive();
    }
    return text;
  }
  static std::string run(char of, std::size_t size) { return std::string(size, of); }

  test::UniqueFd near_;
  test::UniqueFd far_;
  OutputQueue queue_;
};

TEST_F(OutputQueueTest, OfNothingIsSentAtOnce) {
  queue_.add_copy("");
  EXPECT_EQ(test::write_queue(queue_, near_.get()), test::Sent::kAll);
  EXPECT_EQ(receive(), "");
}

TEST_F(OutputQueueTest, KeepsTheOrderOfTextAndBytes) {
  queue_.add_copy("one ");
  queue_.add(Bytes("two "));
  queue_.add(Bytes(run('3', 20'000)));
  queue_.add_copy(" four");
  queue_.add_copy(run('5', 50'000));
  const std::string expected = "one two " + run('3', 20'000) + " four" + run('5', 50'000);
  EXPECT_TRUE(receive_all() == expected);
}

TEST_F(OutputQueueTest, TakesAnOutputFromAnyByteOn) {
  const std::string large = run('b', 10'000);
  const std::string whole = "aa" + large + "cc" + large + "dd";
  for (const std::size_t skip : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{10'002},
                                 std::size_t{10'003}, std::size_t{10'004}, whole.size() - 1, whole.size()}) {
    Output out;
    out.append("aa");
    out.append(Bytes(large));
    out.append("cc");
    out.append(Bytes(large));
    out.append("dd");
    queue_.append(out, skip);
    EXPECT_TRUE(receive_all() == whole.substr(skip)) << skip;
  }
}

TEST_F(OutputQueueTest, GoesOnWhereASocketThatTookAPartHasStopped) {
  std::minstd_rand random(1);
  std::string expected;
  std::string received;
  bool was_blocked = false;
  for (int i = 0; i < 2'000; ++i) {
    const std::string text = run(static_cast<char>('a' + i % 26), random() % 9'000);
    expected += text;
    if (i % 2 == 0) {
      queue_.add_copy(text);
    } else {
      queue_.add(Bytes(text));
    }
    const test::Sent sent = test::write_queue(queue_, near_.get());
    ASSERT_NE(sent, test::Sent::kFailed);
    was_blocked = was_blocked || sent == test::Sent::kBlocked;
    if (random() % 50 == 0) received += receive();
  }
  received += receive_all();
  EXPECT_TRUE(was_blocked);
  EXPECT_TRUE(received == expected);
}

TEST_F(OutputQueueTest, CopiesWhatIsLentAndSharesWhatIsLarge) {
  std::string buffer = run('l', 20'000);
  Output lent;
  lent.append(BytesAccess::make_unowned(buffer));
  const Bytes large(run('s', 20'000));
  Output shared;
  shared.append(large);
  Bytes holder = large;
  RefCounted* const storage = BytesAccess::storage(large);
  queue_.append(lent, 0);
  queue_.append(shared, 0);
  buffer.assign(buffer.size(), '!');
  holder = Bytes();
  shared.clear();
  lent.clear();
  EXPECT_FALSE(storage->unshared());
  EXPECT_TRUE(receive_all() == run('l', 20'000) + run('s', 20'000));
  EXPECT_TRUE(storage->unshared()) << "what is sent is let go of";
}

TEST_F(OutputQueueTest, SaysWhyItFailed) {
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  far_.reset();
  queue_.add_copy("to no one");
  errno = 0;
  EXPECT_EQ(test::write_queue(queue_, near_.get()), test::Sent::kFailed);
  EXPECT_EQ(errno, EPIPE);
  std::signal(SIGPIPE, before);
}

// A small remainder moves to a smaller storage, if there is memory for that.
TEST_F(OutputQueueTest, ASmallRemainderLeavesALargeStorageWhereItCan) {
  for (const bool has_memory : {true, false}) {
    const Bytes large(run('x', 300'000));
    RefCounted* const storage = BytesAccess::storage(large);
    queue_.add(large);
    queue_.add_copy("behind");
    std::string text;
    bool was_let_go = false;
    for (test::Sent sent = test::Sent::kBlocked; sent != test::Sent::kAll;) {
      allocations_left = has_memory ? -1 : 0;
      sent = test::write_queue(queue_, near_.get());
      allocations_left = -1;
      ASSERT_NE(sent, test::Sent::kFailed);
      was_let_go = was_let_go || (sent == test::Sent::kBlocked && storage->unshared());
      text += receive_some();
    }
    text += receive();
    EXPECT_TRUE(text == run('x', 300'000) + "behind");
    EXPECT_EQ(was_let_go, has_memory);
  }
}

// One who is told that there is no memory may go on.
TEST_F(OutputQueueTest, LackOfMemoryKeepsWhatWasQueued) {
  for (const std::size_t before : {0u, 1u, 2u, 3u, 4u, 9u}) {
    for (const std::size_t size : {5u, 300u, 20'000u}) {
      for (int left = 0; left < 3; ++left) {
        std::string expected;
        for (std::size_t i = 0; i < before; ++i) {
          expected += i % 2 == 0 ? run('a', 100) : run('b', 9'000);
          queue_.add_copy(i % 2 == 0 ? run('a', 100) : run('b', 9'000));
        }
        const std::string text = run('x', size);
        bool added = true;
        allocations_left = left;
        try {
          queue_.add_copy(text);
        } catch (const std::bad_alloc&) {
          added = false;
        }
        allocations_left = -1;
        if (added) expected += text;
        queue_.add_copy("behind");
        ASSERT_TRUE(receive_all() == expected + "behind") << before << " parts, " << size << " bytes, " << left;
      }
    }
  }
}

}  // namespace
}  // namespace evio::internal
