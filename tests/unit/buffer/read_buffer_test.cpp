#include "internal/buffer/read_buffer.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace evio::internal {
namespace {

class ReadBufferTest : public testing::Test {
 protected:
  // As a read(2) of this text.
  const Bytes& read(const std::string& text, bool lent = false) {
    const std::span<char> room = buffer_.room();
    EXPECT_GE(room.size(), ReadBuffer::kSize / 4);
    std::memcpy(room.data(), text.data(), text.size());
    return buffer_.filled(room.data(), text.size(), lent);
  }

  ReadBuffer buffer_;
};

TEST_F(ReadBufferTest, UsesTheSameRoomAgainWhenNothingIsKept) {
  const char* const first = buffer_.room().data();
  for (int i = 0; i < 1'000; ++i) {
    const std::string text = "read " + std::to_string(i);
    EXPECT_EQ(read(text), text);
    buffer_.done();
    ASSERT_EQ(buffer_.room().data(), first);
    ASSERT_EQ(buffer_.room().size(), ReadBuffer::kSize);
  }
}

TEST_F(ReadBufferTest, BeginsOnACacheLine) {
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer_.room().data()) % 64, 0u);
}

TEST_F(ReadBufferTest, ReadsBehindWhatIsKept) {
  std::vector<Bytes> kept;
  std::vector<std::string> expected;
  for (std::size_t i = 0; i < 500; ++i) {
    expected.push_back(std::string(1 + i % 1'000, static_cast<char>('a' + i % 26)));
    kept.push_back(read(expected.back()));
    buffer_.done();
  }
  for (std::size_t i = 0; i < kept.size(); ++i) ASSERT_EQ(kept[i], expected[i]) << i;
}

TEST_F(ReadBufferTest, HasItsWholeRoomBackOnceWhatWasKeptIsGone) {
  Bytes kept = read("kept");
  buffer_.done();
  if (!kAddressSanitizer) {  // for which each read has a block of its own
    EXPECT_LT(buffer_.room().size(), ReadBuffer::kSize);
  }
  kept = Bytes();
  EXPECT_EQ(read("more"), "more");
  buffer_.done();
  EXPECT_EQ(buffer_.room().size(), ReadBuffer::kSize);
}

TEST_F(ReadBufferTest, AReadThatFillsItIsKeptWholeToo) {
  const std::string large(ReadBuffer::kSize, 'x');
  const Bytes kept = read(large);
  buffer_.done();
  EXPECT_EQ(read("next"), "next");
  EXPECT_TRUE(kept == large);
}

TEST_F(ReadBufferTest, WhatIsLentKeepsNothing) {
  const char* const room = buffer_.room().data();
  const Bytes lent = read("lent", true);
  EXPECT_TRUE(BytesAccess::is_unowned(lent));
  EXPECT_EQ(lent, "lent");
  buffer_.done();
  EXPECT_EQ(buffer_.room().data(), room);
  EXPECT_EQ(buffer_.room().size(), ReadBuffer::kSize);
}

}  // namespace
}  // namespace evio::internal
