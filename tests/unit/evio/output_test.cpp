#include "evio/output.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "internal/buffer/output_access.hpp"

namespace evio {
namespace {

using internal::OutputAccess;

constexpr std::size_t kLarge = 16 * 1024;

std::string text_of(const Output& out) {
  std::string text;
  OutputAccess::for_each(out, [&](std::string_view piece, const Bytes*) {
    EXPECT_FALSE(piece.empty());
    text += piece;
  });
  EXPECT_EQ(text.size(), out.size());
  EXPECT_EQ(text.empty(), out.empty());
  return text;
}

// Where the pieces lie that were not copied.
std::vector<const char*> shared_in(const Output& out) {
  std::vector<const char*> data;
  OutputAccess::for_each(out, [&](std::string_view piece, const Bytes* bytes) {
    if (bytes != nullptr) data.push_back(piece.data());
  });
  return data;
}

// {} is the null of a literal's type.
TEST(OutputTest, BracesAreNothing) {
  Output out;
  out = "something";
  out.append({});
  EXPECT_EQ(text_of(out), "something");
  out = {};
  EXPECT_EQ(text_of(out), "");
}

TEST(OutputTest, IsEmptyAtFirst) {
  Output out;
  EXPECT_TRUE(out.empty());
  EXPECT_EQ(text_of(out), "");
}

TEST(OutputTest, AssigningReplacesAndAppendingAdds) {
  Output out;
  out = "one";
  out = "two";
  EXPECT_EQ(text_of(out), "two");
  out += ",";
  out.append("three");
  EXPECT_EQ(text_of(out), "two,three");
  out.clear();
  EXPECT_EQ(text_of(out), "");
  out.append("again");
  EXPECT_EQ(text_of(out), "again");
  out = "";
  EXPECT_TRUE(out.empty());
}

TEST(OutputTest, EveryKindOfTextMayBeAddedInEveryWay) {
  const std::string text = "string,";
  const Bytes bytes = Bytes::copy("bytes,");
  Output out;
  out = "literal,";
  out = std::string_view("view,");
  out = text;
  out = std::string("moved,");
  out = bytes;
  EXPECT_EQ(text_of(out = Bytes::copy("moved bytes,")), "moved bytes,");
  out += "literal,";
  out += std::string_view("view,");
  out += text;
  out += std::string("moved,");
  out += bytes;
  out += Bytes::copy("moved bytes,");
  out.append("literal,").append(std::string_view("view,")).append(text).append(std::string("moved,"));
  out.append(bytes).append(Bytes::copy("moved bytes,"));
  const std::string six = "literal,view,string,moved,bytes,moved bytes,";
  EXPECT_EQ(text_of(out), "moved bytes," + six + six);
  EXPECT_EQ(text, "string,");
}

TEST(OutputTest, BytesOfAnyValueAndBackInserters) {
  Output out;
  const std::string text("a\0\xff", 3);
  std::copy(text.begin(), text.end(), std::back_inserter(out));
  out.push_back('\0');
  EXPECT_EQ(text_of(out), text + '\0');
  for (int i = 0; i != 100'000; ++i) out.push_back(static_cast<char>('a' + i % 26));
  EXPECT_EQ(out.size(), 100'004u);
  EXPECT_EQ(text_of(out).substr(4, 5), "abcde");
}

TEST(OutputTest, LargeBytesAreSharedAndSmallOnesCopied) {
  const Bytes small = std::string(kLarge - 1, 's');
  const Bytes large = std::string(kLarge, 'l');
  std::string string(kLarge, 'm');
  const char* const string_data = string.data();
  Output out;
  out.append("head").append(small).append(large).append("between").append(std::move(string)).push_back('t');
  EXPECT_EQ(text_of(out), "head" + std::string(kLarge - 1, 's') + std::string(kLarge, 'l') + "between" +
                              std::string(kLarge, 'm') + "t");
  EXPECT_EQ(shared_in(out), (std::vector<const char*>{large.data(), string_data}));
  EXPECT_FALSE(OutputAccess::is_one_copy(out));
}

TEST(OutputTest, AStringThatIsNotMovedIsCopied) {
  std::string text(3 * kLarge, 'a');
  Output out;
  out = text;
  text.assign(3 * kLarge, 'b');
  EXPECT_EQ(text_of(out), std::string(3 * kLarge, 'a'));
  EXPECT_TRUE(shared_in(out).empty());
}

TEST(OutputTest, SharedBytesAreKeptAliveAndLetGo) {
  Output out;
  {
    const Bytes large = std::string(kLarge, 'l');
    out.append(large);
  }
  EXPECT_EQ(text_of(out), std::string(kLarge, 'l'));
  out.clear();
  EXPECT_TRUE(OutputAccess::is_one_copy(out));
  EXPECT_EQ(text_of(out.append("small")), "small");
}

TEST(OutputTest, AssigningReplacesWhatIsShared) {
  const Bytes first = std::string(kLarge, '1');
  const Bytes second = std::string(kLarge, '2');
  Output out;
  out.append("x").append(first).append("y");
  out = second;
  EXPECT_EQ(text_of(out), second.str());
  out = "text";
  EXPECT_EQ(text_of(out), "text");
}

TEST(OutputTest, ResetGivesALargeBufferBack) {
  Output out;
  out.append(std::string_view(std::string(1 << 20, 'x')));
  out.clear();
  EXPECT_TRUE(out.empty());
  EXPECT_EQ(text_of(out.append("again")), "again");
}

TEST(OutputTest, GatherGivesThePiecesInOrder) {
  const Bytes large = std::string(kLarge, 'l');
  Output out;
  out.append("a").append(large).append(large).append("b");
  std::vector<iovec> parts(8);
  ASSERT_EQ(OutputAccess::gather(out, parts), 4);
  EXPECT_EQ(parts[0].iov_len, 1u);
  EXPECT_EQ(parts[1].iov_base, large.data());
  EXPECT_EQ(parts[3].iov_len, 1u);
  EXPECT_EQ(OutputAccess::gather(out, std::span<iovec>(parts.data(), 2)), 2);
}

}  // namespace
}  // namespace evio
