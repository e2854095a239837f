// What is kept is at most a small multiple of what is needed, counted in bytes of the heap: input that waits for the
// rest of a message, output that waits for a slow peer, and what a loop keeps for the next call.
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "evio/detail/share_policy.hpp"
#include "evio/input_stream.hpp"
#include "internal/base/recycled.hpp"
#include "internal/buffer/buffer.hpp"
#include "internal/buffer/bytes_access.hpp"
#include "internal/buffer/output_access.hpp"
#include "internal/buffer/output_queue.hpp"
#include "internal/loop/block_pool.hpp"
#include "tests/perf/allocations.hpp"
#include "tests/support/datagram_fixture.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/write_queue.hpp"

namespace evio::test {
namespace {

using internal::Buffer;
using internal::BytesAccess;
using internal::OutputAccess;
using internal::OutputQueue;
using internal::RefPtr;

constexpr std::size_t kMiB = std::size_t{1} << 20;

// Headers, and what the allocator adds.
constexpr std::size_t kAround = 512;
constexpr std::size_t bound(std::size_t needed) { return internal::kMostKept * needed + internal::kLittle + kAround; }

/// How much more is held than when it was made.
class Growth {
 public:
  std::size_t bytes() const {
    const std::size_t now = live_bytes();
    return now < before_ ? 0 : now - before_;
  }

 private:
  std::size_t before_ = live_bytes();
};

/// As a loop's read block, of which one packet is the beginning.
Bytes in_block(std::size_t capacity, std::string_view text) {
  RefPtr<Buffer> block = Buffer::make(std::max(capacity, text.size()));
  std::copy(text.begin(), text.end(), block->data());
  const char* const data = block->data();
  return BytesAccess::make(data, text.size(), RefPtr<internal::Storage>(block.detach()));
}

// Input

/// Feeds a message of `message` bytes and the `rest` behind it in packets of `packet`; the message is used when it is
/// whole. Every packet is given by feed_one(stream, text, consume).
template <class Feed>
std::size_t kept_after(std::size_t message, std::size_t rest, std::size_t packet, Feed feed_one) {
  const std::string all(message + rest, 'x');
  InputStream stream;
  const Growth growth;
  bool is_used = false;
  for (std::size_t at = 0; at < all.size(); at += packet) {
    feed_one(stream, std::string_view(all).substr(at, packet), [&](std::size_t unread) -> std::size_t {
      if (is_used || unread < message) return 0;
      is_used = true;
      return message;
    });
  }
  const std::size_t kept = growth.bytes();
  EXPECT_EQ(stream.begin("").size(), rest);
  return kept;
}

template <class Feed>
void expect_little_kept(Feed feed_one) {
  for (const std::size_t message : {std::size_t{10}, std::size_t{1'000}, std::size_t{70'000}, kMiB}) {
    for (const std::size_t rest : {1u, 100u, 5'000u, 8'192u, 100'000u}) {
      for (const std::size_t packet : {1'500u, 65'536u, 8'000'000u}) {
        EXPECT_LE(kept_after(message, rest, packet, feed_one), bound(rest))
            << rest << " bytes behind " << message << ", in packets of " << packet;
      }
    }
  }
}

TEST(MemoryKeptTest, ByAnInputStreamOfViews) {
  expect_little_kept([](InputStream& stream, std::string_view text, auto used_of) {
    stream.feed(text, [&](std::string_view unread) { return used_of(unread.size()); });
  });
}

TEST(MemoryKeptTest, ByAnInputStreamOfReadBlocks) {
  expect_little_kept([](InputStream& stream, std::string_view text, auto used_of) {
    stream.feed(in_block(256 * 1024, text), [&](const Bytes& unread) { return used_of(unread.size()); });
  });
}

TEST(MemoryKeptTest, ByAnInputStreamOfPartsOfALargeString) {
  expect_little_kept([](InputStream& stream, std::string_view text, auto used_of) {
    const Bytes whole = std::string(text) + std::string(kMiB / 2, '-');
    stream.feed(whole.substr(0, text.size()), [&](const Bytes& unread) { return used_of(unread.size()); });
  });
}

TEST(MemoryKeptTest, ByBeginAndEnd) {
  expect_little_kept([](InputStream& stream, std::string_view text, auto used_of) {
    const std::string_view unread = stream.begin(text);
    stream.end(unread.substr(used_of(unread.size())));
  });
}

// A little is used at a time, as by wakes, of a large value that came whole.
TEST(MemoryKeptTest, ByAnInputStreamThatIsUsedUpSlowly) {
  InputStream stream;
  const Growth growth;
  stream.feed(Bytes(std::string(kMiB, 'x')), [](const Bytes&) { return 0; });
  for (std::size_t left = kMiB; left > 1;) {
    const std::size_t used = std::max<std::size_t>(1, left / 100);
    bool first = true;
    stream.feed(Bytes(), [&](const Bytes&) { return std::exchange(first, false) ? used : 0; });
    left -= used;
    ASSERT_LE(growth.bytes(), bound(left)) << left << " bytes left";
  }
}

// Output that waits

class MemoryKeptByOutputQueueTest : public testing::Test {
 protected:
  MemoryKeptByOutputQueueTest() {
    std::array<int, 2> ends{-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), 0);
    const int small = 4096;  // the kernel takes little at a time
    EXPECT_EQ(::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    near_ = UniqueFd(ends[0]);
    far_ = UniqueFd(ends[1]);
  }

  std::size_t in_the_kernel() const {
    int size = 0;
    EXPECT_EQ(::ioctl(far_.get(), FIONREAD, &size), 0);
    return static_cast<std::size_t>(size);
  }

  /// Room behind the last text, for those that may follow.
  static constexpr std::size_t kRoom = 16 * 1024;

  /// Sends what is in the queue, `size` bytes, which was filled since `growth`; the peer reads a little at a time.
  void expect_little_kept(std::size_t size, const Growth& growth) {
    std::size_t received = 0;
    std::size_t least = size;
    ASSERT_LE(growth.bytes(), bound(size));
    while (test::write_queue(queue_, near_.get()) == test::Sent::kBlocked) {
      const std::size_t unsent = size - received - in_the_kernel();
      least = std::min(least, unsent);
      ASSERT_LE(growth.bytes(), bound(unsent) + kRoom) << unsent << " of " << size << " bytes are unsent";
      const ssize_t n = ::read(far_.get(), buffer_.data(), buffer_.size());
      ASSERT_GT(n, 0);
      received += static_cast<std::size_t>(n);
    }
    EXPECT_EQ(received + in_the_kernel(), size);
    EXPECT_LT(least, 10'000u) << "it was never a little";
    while (::read(far_.get(), buffer_.data(), buffer_.size()) > 0) {
    }
  }

  UniqueFd near_;
  UniqueFd far_;
  OutputQueue queue_;
  std::array<char, 4096> buffer_;
};

TEST_F(MemoryKeptByOutputQueueTest, OfALongText) {
  for (const std::size_t size : {20'000u, 1'000'001u, 3'000'003u}) {
    const std::string text(size, 'x');
    const Growth growth;
    queue_.add_copy(text);
    expect_little_kept(size, growth);
  }
}

TEST_F(MemoryKeptByOutputQueueTest, OfLargeBytes) {
  for (const std::size_t size : {20'000u, 1'000'001u, 3'000'003u}) {
    const Growth growth;
    queue_.add(std::string(size, 'x'));
    expect_little_kept(size, growth);
  }
}

TEST_F(MemoryKeptByOutputQueueTest, OfAnAnswerThatTheSocketTookInPart) {
  for (const std::size_t left : {1u, 100u, 9'000u, 20'000u}) {
    const Growth growth;
    {
      Output out;
      out.append(std::string(kMiB, 'x'));
      queue_.append(out, kMiB - left);
    }
    EXPECT_LE(growth.bytes(), bound(left)) << left << " bytes left of shared ones";
    queue_ = {};
    {
      Output out;
      out.append(std::string_view(std::string(kMiB, 'x')));
      queue_.append(out, kMiB - left);
    }
    EXPECT_LE(growth.bytes(), bound(left)) << left << " bytes left of text";
    queue_ = {};
  }
}

TEST_F(MemoryKeptByOutputQueueTest, OfPartsOfLargeStorages) {
  for (const std::size_t storage : {std::size_t{20'000}, std::size_t{256 * 1024}, 8 * kMiB}) {
    const Growth growth;
    for (int i = 0; i < 10; ++i) queue_.add(Bytes(std::string(storage, 'x')).substr(100, 8'192));
    expect_little_kept(10 * 8'192, growth);
  }
}

TEST_F(MemoryKeptByOutputQueueTest, OfShortTextsBetweenBytes) {
  const Growth growth;
  for (int i = 0; i < 100; ++i) {
    queue_.add(std::string(8'192, 'x'));
    queue_.add_copy("y");
  }
  expect_little_kept(100 * 8'193, growth);
}

TEST_F(MemoryKeptByOutputQueueTest, OfShortTexts) {
  const Growth growth;
  for (std::size_t i = 1; i <= 10'000; ++i) {
    queue_.add_copy("short");
    ASSERT_LE(growth.bytes(), bound(5 * i)) << i << " texts";
  }
  expect_little_kept(5 * 10'000, growth);
}

// The list of the parts counts too.
TEST_F(MemoryKeptByOutputQueueTest, OfManyParts) {
  const Bytes shared = std::string(8'192, 'x');
  const Growth growth;
  for (int i = 0; i < 5'000; ++i) queue_.add(shared);
  expect_little_kept(5'000 * 8'192, growth);
}

// What is kept for the next call

/// What an Output may keep when it is emptied: its buffer and its list of shared pieces.
constexpr std::size_t kKeptByAnOutput = 128 * 1024 + 64 * 48 + kAround;

TEST(MemoryKeptByOutputTest, OfALargeTextThatWasTakenBack) {
  Output out;
  const Growth growth;
  out.append(std::string_view(std::string(kMiB, 'x')));
  out.clear();
  EXPECT_LE(growth.bytes(), kKeptByAnOutput);
  out.append(std::string_view(std::string(kMiB, 'x')));
  out = std::string(20'000, 'x');
  EXPECT_LE(growth.bytes(), kKeptByAnOutput + 20'000);
}

TEST(MemoryKeptByOutputTest, OfALargeTextThatWasSent) {
  Output out;
  const Growth growth;
  out.append(std::string_view(std::string(kMiB, 'x')));
  out = "short";
  if (OutputAccess::reset_copied(out)) OutputAccess::shrink(out);
  EXPECT_LE(growth.bytes(), kKeptByAnOutput);
}

TEST(MemoryKeptByOutputTest, OfManySharedPieces) {
  Output out;
  const Growth growth;
  const Bytes shared = std::string(16 * 1024, 'x');
  for (int i = 0; i < 100'000; ++i) out.append(shared).push_back('y');
  out.clear();
  EXPECT_LE(growth.bytes(), kKeptByAnOutput + 16 * 1024 + kAround);
}

class MemoryKeptByLoopTest : public ModeTest {};
EVIO_INSTANTIATE(MemoryKeptByLoopTest, modes_of({1}));

// A flood of short texts from another thread: their memory goes back to the pool one by one, or all at once.
TEST(MemoryKeptByBlockPoolTest, OfAFlood) {
  using internal::BlockPool;
  constexpr int kBlocks = 10'000;
  for (const int at_once : {1, 100, kBlocks}) {
    SCOPED_TRACE(at_once);
    BlockPool pool;
    const Growth growth;
    std::vector<void*> blocks;
    std::thread([&] {
      for (int i = 0; i != kBlocks; ++i) blocks.push_back(pool.get());
    }).join();
    while (!blocks.empty()) {
      BlockPool::Returned returned(pool);
      for (int i = 0; i != at_once; ++i) {
        returned.add(blocks.back());
        blocks.pop_back();
      }
    }
    blocks.shrink_to_fit();
    EXPECT_GT(growth.bytes(), 0u) << "some is kept";
    EXPECT_LE(growth.bytes(), 2 * BlockPool::kMost * (BlockPool::kBlock + 16)) << "and no more";
  }
}

struct Chunk : internal::Recycled<Chunk> {
  char bytes[200];
};

// They may end on another thread than the one that made them.
TEST(MemoryKeptByRecycledTest, OfMany) {
  constexpr int kMany = 10'000;
  constexpr std::size_t kKept = 256 * (sizeof(Chunk) + 16);
  const Growth growth;
  for (int round = 0; round != 3; ++round) {
    std::vector<std::unique_ptr<Chunk>> chunks;
    for (int i = 0; i != kMany; ++i) chunks.push_back(std::make_unique<Chunk>());
    if (round == 1) std::thread([&] { chunks.clear(); }).join();
  }
  EXPECT_GT(growth.bytes(), 0u) << "some is kept";
  EXPECT_LE(growth.bytes(), kKept + kAround) << "by this thread; the other one is gone";
  const std::uint64_t before = allocations();
  count_allocations_here();
  for (int i = 0; i != kMany; ++i) std::make_unique<Chunk>();
  EXPECT_EQ(allocations(), before) << "one after the other needs no more";
}

// Its output, after a call whose large `out` did not leave.
TEST_P(MemoryKeptByLoopTest, OfAnswersThatNeverLeave) {
  Events handlers = events();
  handlers.data = [](Conn& conn, std::string_view in, Output& out) {
    out.append(std::string_view(std::string(8 * kMiB, 'x')));
    if (in == "throw") throw std::runtime_error("no good");
    out.clear();
    conn.send("cleared");
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  const Growth growth;
  client.send_all("clear");
  EXPECT_EQ(client.receive(7), "cleared");
  EXPECT_LE(growth.bytes(), kMiB);
  client.send_all("throw");
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_LE(growth.bytes(), kMiB);
}

// Parts of large storages that another thread sends while the loop is busy.
TEST_P(MemoryKeptByLoopTest, OfPartsThatWaitForABusyLoop) {
  constexpr std::size_t kPart = 8'192;
  constexpr std::size_t kParts = 10;
  Gate busy;
  Gate go;
  Conn conn;
  Events handlers = events();
  handlers.data = [&](Conn& c, const Bytes&, Output&) {
    conn = c;
    busy.open();
    EXPECT_TRUE(go.wait());
    return Action::None;
  };
  TestServer server(handlers, address());
  const OpensAtEnd opens(go);
  Client client = server.connect();
  client.send_all("x");
  ASSERT_TRUE(busy.wait());
  const Growth growth;
  for (std::size_t i = 0; i != kParts; ++i) EXPECT_TRUE(conn.send(Bytes(std::string(kMiB, 'x')).substr(100, kPart)));
  EXPECT_LE(growth.bytes(), kParts * bound(kPart));
  go.open();
  EXPECT_EQ(client.receive(kParts * kPart), std::string(kParts * kPart, 'x'));
}

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");  // proc(5): in pages
  std::size_t all = 0;
  std::size_t resident = 0;
  statm >> all >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// Once slow readers have read what waited for them, the process does not hold it any more, not even in its allocator.
TEST_P(MemoryKeptByLoopTest, OfAnswersToSlowReaders) {
  constexpr std::size_t kReaders = 40;
  static const std::string kText = pattern(6 * kMiB);
  Counter asked;
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes&, Output& out) {
    asked.add();
    out = kText;
    return Action::None;
  };
  TestServer server(handlers, address());
  std::vector<Client> readers;
  const std::size_t before = resident_bytes();
  for (std::size_t i = 0; i != kReaders; ++i) {
    readers.emplace_back(server.addr(), Client::Tuning{.receive_buffer = 4096});
    readers.back().send_all("x");
    ASSERT_TRUE(asked.wait_for(i + 1));
  }
  const std::size_t waiting = resident_bytes() - before;
  std::vector<char> room(64 * 1024);
  for (std::size_t i = 0; i + 1 != kReaders; ++i) {
    for (std::size_t left = kText.size(); left != 0;) {
      const ssize_t n = ::recv(readers[i].fd(), room.data(), std::min(room.size(), left), 0);
      ASSERT_GT(n, 0);
      left -= static_cast<std::size_t>(n);
    }
  }
  // What the last one still waits for, and the allocator's own: the loop's output of that size comes and goes.
  const std::size_t left = resident_bytes() - before;
  EXPECT_LE(left, 32 * kMiB) << waiting << " bytes while they waited";
}

// Keeps all it hears until it hears "drop"; says "kept" or, then, "gone".
auto keep_until_told(std::vector<Bytes>& kept) {
  return [&kept](Conn&, const Bytes& in, Output& out) {
    kept.push_back(in);
    if (in.view().ends_with("drop")) kept.clear();
    out = kept.empty() ? "gone" : "kept";
    return Action::None;
  };
}

// The blocks that its handlers kept input in go with it.
TEST_P(MemoryKeptByLoopTest, OfInputThatIsKeptNoLonger) {
  std::vector<Bytes> kept;
  Events handlers = events();
  handlers.data = keep_until_told(kept);
  TestServer server(handlers, address());
  Client client = server.connect();
  const Growth growth;
  const std::string text(60'000, 'x');
  for (int i = 0; i < 100; ++i) {
    client.send_all(text);
    EXPECT_EQ(client.receive(4), "kept");
  }
  EXPECT_GT(growth.bytes(), 5 * kMiB);
  client.send_all("drop");
  std::string answer = "kept";  // some of the texts may have come in two
  while (answer == "kept") answer = client.receive(4);
  EXPECT_EQ(answer, "gone");
  EXPECT_LE(growth.bytes(), kMiB);
}

TEST_F(ServerTest, ADatagramSocketKeepsNoInputThatIsKeptNoLonger) {
  std::vector<Bytes> kept;
  Events handlers;
  handlers.data = keep_until_told(kept);
  TestServer server(handlers, "udp4://127.0.0.1:0");
  DatagramClient client("127.0.0.1", server.addr().port());
  const Growth growth;
  for (int i = 0; i < 100; ++i) {
    client.send("a little");
    EXPECT_EQ(client.receive_text(), "kept");
  }
  EXPECT_GT(growth.bytes(), 5 * kMiB);
  client.send("drop");
  EXPECT_EQ(client.receive_text(), "gone");
  EXPECT_LE(growth.bytes(), kMiB + kMiB / 8);  // a block for each of a batch
}

// Each datagram of a batch has an output of its own.
TEST_F(ServerTest, DatagramAnswersTakenBackLeaveNoMemory) {
  Events handlers;
  handlers.data = [](Conn& conn, std::string_view, Output& out) {
    out.append(std::string_view(std::string(8 * kMiB, 'x')));
    out.clear();
    conn.send("cleared");
    return Action::None;
  };
  TestServer server(handlers, "udp4://127.0.0.1:0");
  DatagramClient client("127.0.0.1", server.addr().port());
  const Growth growth;
  for (int i = 0; i < 3; ++i) {
    client.send("clear");
    EXPECT_EQ(client.receive_text(), "cleared");
  }
  client.send("");  // answered when the callback for the one before has returned
  EXPECT_EQ(client.receive_text(), "cleared");
  EXPECT_LE(growth.bytes(), kMiB);
}

}  // namespace
}  // namespace evio::test
