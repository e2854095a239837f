#include "evio/bytes.hpp"

#include <gtest/gtest.h>

#include <iterator>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace evio {
namespace {

// Too long for std::string to keep inside itself.
std::string long_text() { return std::string(1000, 'x') + "end"; }

std::size_t takes_a_view(std::string_view view) { return view.size(); }

TEST(BytesTest, OfNothingAreEmpty) {
  const Bytes bytes;
  EXPECT_TRUE(bytes.empty());
  EXPECT_EQ(bytes.size(), 0u);
  EXPECT_EQ(bytes.begin(), bytes.end());
  EXPECT_EQ(bytes.view(), "");
  EXPECT_EQ(bytes.str(), "");
  EXPECT_EQ(bytes, Bytes(std::string()));
  EXPECT_TRUE(Bytes::copy("").empty());
  EXPECT_TRUE(Bytes::literal("").empty());
}

TEST(BytesTest, TakeAStringOverWithoutCopyingIt) {
  std::string text = long_text();
  const char* const data = text.data();
  const Bytes bytes = std::move(text);
  EXPECT_EQ(bytes.data(), data);
  EXPECT_EQ(bytes, long_text());
}

TEST(BytesTest, OfAShortStringHaveIt) {
  const Bytes bytes = std::string("short");
  EXPECT_EQ(bytes, "short");
}

TEST(BytesTest, OfAStringThatIsNotMovedAreACopy) {
  const std::string text = long_text();
  const Bytes bytes = text;
  EXPECT_NE(bytes.data(), text.data());
  EXPECT_EQ(bytes, text);
}

TEST(BytesTest, CopyIsIndependentOfItsSource) {
  std::string text = "before";
  const Bytes bytes = Bytes::copy(text);
  text = "behind";
  EXPECT_EQ(bytes, "before");
}

TEST(BytesTest, LiteralIsTheLiteral) {
  static constexpr std::string_view kText = "text that lives for ever";
  static constexpr Bytes kBytes = Bytes::literal(kText);
  EXPECT_EQ(kBytes.data(), kText.data());
  const Bytes copy = kBytes;
  EXPECT_EQ(copy.data(), kText.data());
  EXPECT_EQ(copy.substr(5, 4).data(), kText.data() + 5);
}

TEST(BytesTest, HoldAnyByte) {
  const std::string text("a\0b\xff\n", 5);
  const Bytes bytes = Bytes::copy(text);
  EXPECT_EQ(bytes.size(), 5u);
  EXPECT_EQ(bytes, text);
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()), text);
}

TEST(BytesTest, ACopySharesTheStorageAndOutlivesTheOriginal) {
  Bytes copy;
  const char* data = nullptr;
  {
    const Bytes original = long_text();
    data = original.data();
    copy = original;
  }
  EXPECT_EQ(copy.data(), data);
  EXPECT_EQ(copy, long_text());
}

TEST(BytesTest, MovedFromAreEmpty) {
  Bytes from = long_text();
  const char* const data = from.data();
  Bytes to = std::move(from);
  EXPECT_EQ(to.data(), data);
  EXPECT_TRUE(from.empty());  // NOLINT(bugprone-use-after-move): what is asked here
  from = std::move(to);
  EXPECT_EQ(from.data(), data);
}

TEST(BytesTest, MayBeAssignedToThemselves) {
  Bytes bytes = long_text();
  Bytes& same = bytes;
  bytes = same;
  EXPECT_EQ(bytes, long_text());
  bytes = std::move(same);
  EXPECT_EQ(bytes, long_text());
  bytes = bytes.substr(500);
  EXPECT_EQ(bytes, long_text().substr(500));
}

TEST(BytesTest, SubstrIsCutAtTheEndAndKeepsTheWholeAlive) {
  Bytes part;
  {
    const Bytes whole = long_text();
    part = whole.substr(998);
    EXPECT_EQ(part.data(), whole.data() + 998);
    EXPECT_EQ(whole.substr(0, 3), "xxx");
    EXPECT_EQ(whole.substr(1000, 2), "en");
    EXPECT_EQ(whole.substr(1000, Bytes::npos), "end");
    EXPECT_EQ(whole.substr(1003), "");
    EXPECT_EQ(whole.substr(5000, 10), "");
    EXPECT_EQ(whole.substr(2, 0), "");
  }
  EXPECT_EQ(part, "xxend");
  EXPECT_EQ(part.substr(2).substr(1, 1), "n");
  EXPECT_EQ(Bytes().substr(0), "");
  EXPECT_EQ(Bytes().substr(3, 3), "");
}

TEST(BytesTest, RemovePrefixMovesTheFront) {
  Bytes bytes = long_text();
  const char* const data = bytes.data();
  bytes.remove_prefix(1000);
  EXPECT_EQ(bytes, "end");
  EXPECT_EQ(bytes.data(), data + 1000);
  bytes.remove_prefix(99);
  EXPECT_TRUE(bytes.empty());
}

TEST(BytesTest, SwapSwaps) {
  Bytes a = long_text();
  Bytes b = Bytes::literal("b");
  a.swap(b);
  EXPECT_EQ(a, "b");
  EXPECT_EQ(b, long_text());
}

TEST(BytesTest, CompareWithWhateverIsText) {
  const Bytes bytes = Bytes::copy("text");
  EXPECT_TRUE(bytes == Bytes::literal("text"));
  EXPECT_TRUE(bytes == "text");
  EXPECT_TRUE(bytes == std::string("text"));
  EXPECT_TRUE(bytes == std::string_view("text"));
  EXPECT_TRUE("text" == bytes);
  EXPECT_TRUE(bytes != "texts");
  EXPECT_TRUE(bytes != Bytes());
}

TEST(BytesTest, AreAViewWhereOneIsWanted) {
  const Bytes bytes = Bytes::copy("text");
  EXPECT_EQ(takes_a_view(bytes), 4u);
  const std::string_view view = bytes;
  EXPECT_EQ(view.data(), bytes.data());
  EXPECT_EQ(bytes.view().data(), bytes.data());
  EXPECT_EQ(std::distance(bytes.begin(), bytes.end()), 4);
}

TEST(BytesTest, MoveWithoutThrowing) {
  EXPECT_TRUE(std::is_nothrow_move_constructible_v<Bytes>);
  EXPECT_TRUE(std::is_nothrow_copy_constructible_v<Bytes>);
  EXPECT_TRUE(std::is_nothrow_default_constructible_v<Bytes>);
}

TEST(BytesTest, OneStorageMayBeSharedByThreads) {
  const Bytes bytes = long_text();
  std::vector<std::thread> threads;
  for (int t = 0; t != 4; ++t) {
    threads.emplace_back([bytes] {
      for (int i = 0; i != 1000; ++i) {
        Bytes copy = bytes;
        const Bytes part = copy.substr(static_cast<std::size_t>(i), 3);
        copy = {};
        ASSERT_EQ(part, i < 998 ? "xxx" : i == 998 ? "xxe" : "xen");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace evio
