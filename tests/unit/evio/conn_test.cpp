#include "evio/conn.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace evio {
namespace {

TEST(ConnOfNothingTest, IsGone) {
  const Conn conn;
  EXPECT_EQ(conn.id(), 0u);
  EXPECT_EQ(conn.addr_index(), 0);
  EXPECT_EQ(conn.loop_index(), 0);
  EXPECT_EQ(conn.local_addr(), Addr());
  EXPECT_EQ(conn.remote_addr(), Addr());
  EXPECT_EQ(conn.remote_addr().to_string(), "");
}

TEST(ConnOfNothingTest, DoesNothing) {
  const Conn conn;
  const std::string text = "text";
  EXPECT_FALSE(conn.wake());
  EXPECT_FALSE(conn.close());
  EXPECT_FALSE(conn.send("literal"));
  EXPECT_FALSE(conn.send(std::string_view("view")));
  EXPECT_FALSE(conn.send(text));
  EXPECT_FALSE(conn.send(std::string("moved")));
  EXPECT_FALSE(conn.send(Bytes::copy("bytes")));
  EXPECT_FALSE(conn.send(""));
}

TEST(ConnOfNothingTest, KeepsNoContextAndDestroysWhatItIsGiven) {
  const Conn conn;
  const auto value = std::make_shared<int>(7);
  conn.set_context(value);
  EXPECT_EQ(conn.context<std::shared_ptr<int>>(), nullptr);
  EXPECT_EQ(value.use_count(), 1);
  conn.set_context(std::make_unique<int>(1));
  EXPECT_EQ(conn.context<std::unique_ptr<int>>(), nullptr);
}

TEST(ConnOfNothingTest, IsAValueLikeAnyOther) {
  Conn a;
  const Conn b = a;
  Conn c = std::move(a);
  EXPECT_EQ(b, c);
  EXPECT_EQ(b <=> c, std::strong_ordering::equal);
  EXPECT_FALSE(b < c);
  EXPECT_EQ(std::hash<Conn>()(b), std::hash<Conn>()(c));
  c = b;
  EXPECT_EQ(std::set<Conn>({b, c}).size(), 1u);
  std::unordered_map<Conn, int> map;
  map[b] = 1;
  EXPECT_EQ(map[c], 1);
}

TEST(ConnOfNothingTest, IsSmall) {
  EXPECT_EQ(sizeof(Conn), sizeof(void*));
  EXPECT_TRUE(std::is_nothrow_copy_constructible_v<Conn>);
  EXPECT_TRUE(std::is_nothrow_move_constructible_v<Conn>);
}

}  // namespace
}  // namespace evio
