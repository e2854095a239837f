// What a connection remembers for its loop.
#include "internal/connection.hpp"

#include <gtest/gtest.h>

#include "internal/note_queue.hpp"

namespace evio::internal {
namespace {

Ref<Connection> make_connection() {
  return Ref<Connection>(new Connection(FileDescriptor(), 1, Ref<NoteQueue>(), 0, {}, {}));
}

TEST(InternalConnectionTest, MakesNoProgressAfterAMinuteOfLooksThatFindTheSame) {
  const Ref<Connection> c = make_connection();
  EXPECT_FALSE(c->makes_no_progress(1000));
  for (int look = 1; look != 60; ++look) EXPECT_FALSE(c->makes_no_progress(1000)) << look;
  EXPECT_TRUE(c->makes_no_progress(1000));
}

TEST(InternalConnectionTest, BeginsAnewWithEachByteThatIsAcknowledged) {
  const Ref<Connection> c = make_connection();
  for (int left = 1000; left != 0; --left) EXPECT_FALSE(c->makes_no_progress(left)) << left;
  for (int look = 1; look != 60; ++look) EXPECT_FALSE(c->makes_no_progress(1)) << look;
  EXPECT_TRUE(c->makes_no_progress(1));
}

}  // namespace
}  // namespace evio::internal
