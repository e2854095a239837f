// What a connection remembers for its loop.
#include "internal/stream/connection.hpp"

#include <gtest/gtest.h>

#include "internal/loop/note_queue.hpp"

namespace evio::internal {
namespace {

RefPtr<Connection> make_connection() {
  return RefPtr<Connection>(new Connection(FileDescriptor(), 1, RefPtr<NoteQueue>(), 0, {}, {}));
}

TEST(ConnectionTest, StallsAfterAMinuteWithoutProgress) {
  const RefPtr<Connection> c = make_connection();
  EXPECT_FALSE(c->makes_no_progress(1000));
  for (int look = 1; look != 60; ++look) EXPECT_FALSE(c->makes_no_progress(1000)) << look;
  EXPECT_TRUE(c->makes_no_progress(1000));
}

TEST(ConnectionTest, BeginsAnewWithEachByteThatIsAcknowledged) {
  const RefPtr<Connection> c = make_connection();
  for (int left = 1000; left != 0; --left) EXPECT_FALSE(c->makes_no_progress(left)) << left;
  for (int look = 1; look != 60; ++look) EXPECT_FALSE(c->makes_no_progress(1)) << look;
  EXPECT_TRUE(c->makes_no_progress(1));
}

}  // namespace
}  // namespace evio::internal
