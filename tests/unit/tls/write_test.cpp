// Guarantee 28: what is sent over TLS, through sockets that take little: no byte twice, none lost, and those of a
// record are not returned before the socket has taken all of it.
#include <algorithm>
#include <random>

#include "internal/tls/iovec_cursor.hpp"
#include "internal/tls/unsent_records.hpp"
#include "tests/unit/tls/tls_fixture.hpp"

namespace evio::test {
namespace {

using internal::IovecCursor;
using internal::RecordEnd;
using internal::UnsentRecords;

std::string text_of(std::size_t size) {
  std::string text(size, ' ');
  std::mt19937 random(1);
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

TEST(UnsentRecordsTest, ReturnBytesOfWholeRecordsAlone) {
  const std::array<RecordEnd, 3> records{{{10, 5}, {20, 7}, {30, 9}}};
  UnsentRecords unsent;
  unsent.add("45678901234567890123456789", records, 4);
  EXPECT_EQ(unsent.taken(5), 0U);
  EXPECT_EQ(unsent.taken(1), 5U);
  const std::array<RecordEnd, 1> more{{{3, 2}}};
  unsent.add("abc", more, 0);
  EXPECT_EQ(unsent.bytes(), "01234567890123456789abc");
  EXPECT_EQ(unsent.taken(22), 16U);
  EXPECT_EQ(unsent.taken(1), 2U);
  EXPECT_EQ(unsent.bytes(), "");
}

TEST(UnsentRecordsTest, ForgetThoseThatAreSentAlready) {
  const std::array<RecordEnd, 2> records{{{10, 5}, {20, 7}}};
  UnsentRecords unsent;
  unsent.add("0123456789", records, 10);
  EXPECT_EQ(unsent.taken(10), 7U);
}

TEST(IovecCursorTest, PutsBytesOfSeveralPartsTogether) {
  std::string a = "abc", b, c = "de", d = "fghij";
  const std::array<iovec, 4> parts{{{a.data(), 3}, {b.data(), 0}, {c.data(), 2}, {d.data(), 5}}};
  IovecCursor cursor(parts);
  char scratch[16];
  EXPECT_EQ(cursor.peek(2, scratch).data(), a.data());
  EXPECT_EQ(cursor.peek(4, scratch), "abcd");
  EXPECT_EQ(cursor.peek(16, scratch), "abcdefghij");
  cursor.skip(3);
  EXPECT_EQ(cursor.peek(16, scratch), "defghij");
  cursor.skip(3);
  EXPECT_EQ(cursor.peek(16, scratch).data(), d.data() + 1);
  EXPECT_FALSE(cursor.at_end());
  cursor.skip(4);
  EXPECT_TRUE(cursor.at_end());
}

class WriteTest : public TlsTest {
 protected:
  void shrink(int fd) {
    const int size = 4096;
    ASSERT_EQ(::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
  }
};

TEST_F(WriteTest, OfManySmallPartsMakesFullRecords) {
  Connection c(server, client);
  ASSERT_TRUE(c.shake_hands());
  c.read_at_client();
  const std::string text = text_of(40'000);
  std::vector<iovec> parts;
  for (std::size_t at = 0; at < text.size(); at += 100) parts.push_back({const_cast<char*>(text.data()) + at, 100});
  ASSERT_EQ(c.server->write(c.sockets.server.get(), parts), 40'000);
  std::string wire(65536, ' ');
  const ssize_t n = ::recv(c.sockets.client.get(), wire.data(), wire.size(), MSG_PEEK);
  EXPECT_EQ(n, 40'000 + 3 * 22);
  EXPECT_EQ(c.read_at_client(), text);
}

TEST_F(WriteTest, OfNothingIsNothing) {
  Connection c(server, client);
  ASSERT_TRUE(c.shake_hands());
  EXPECT_EQ(c.server->write(c.sockets.server.get(), {}), 0);
  const iovec empty{nullptr, 0};
  EXPECT_EQ(c.server->write(c.sockets.server.get(), {&empty, 1}), 0);
}

// The caller gives what was not returned again, cut anew and with more behind it, from elsewhere in memory.
TEST_F(WriteTest, ThroughASocketThatIsFullLosesAndRepeatsNothing) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const TlsContext dialing = loaded(client_files());
    SSL_CTX_set_max_proto_version(static_cast<SSL_CTX*>(dialing.native()), version);
    Connection c(server, dialing);
    ASSERT_TRUE(c.shake_hands());
    shrink(c.sockets.server.get());
    const std::string text = text_of(1'500'000);
    std::string received;
    std::mt19937 random(2);
    std::size_t written = 0, refused = 0;
    while (written < text.size()) {
      const std::string copy = text.substr(written, 1 + random() % 300'000);
      std::vector<iovec> parts;
      for (std::size_t at = 0; at < copy.size();) {
        const std::size_t size = std::min<std::size_t>(1 + random() % 40'000, copy.size() - at);
        parts.push_back({const_cast<char*>(copy.data()) + at, size});
        at += size;
      }
      // What the caller gives again is at least what was encrypted before.
      if (c.server->has_unsent() && copy.size() < 140'000 && written + copy.size() < text.size()) continue;
      const ssize_t n = c.server->write(c.sockets.server.get(), parts);
      if (n < 0) {
        ASSERT_EQ(errno, EAGAIN);
        EXPECT_TRUE(c.server->has_unsent());
        ++refused;
      } else {
        ASSERT_GT(n, 0);
        written += static_cast<std::size_t>(n);
      }
      // Only what is returned has left for sure; and all of that has.
      received += c.read_at_client();
      ASSERT_GE(received.size(), written);
      if (random() % 4 == 0) c.server->flush(c.sockets.server.get());
    }
    EXPECT_EQ(received, text);
    EXPECT_GT(refused, 0U);
    EXPECT_FALSE(c.server->has_unsent());
  }
}

TEST_F(WriteTest, ReturnsWhatAFlushHasCompleted) {
  Connection c(server, client);
  ASSERT_TRUE(c.shake_hands());
  shrink(c.sockets.server.get());
  const std::string text = text_of(100'000);
  const iovec part{const_cast<char*>(text.data()), text.size()};
  const ssize_t first = c.server->write(c.sockets.server.get(), {&part, 1});
  ASSERT_LT(first, 100'000);
  std::string received = c.read_at_client();
  while (c.server->flush(c.sockets.server.get()) != 0) {
    ASSERT_EQ(errno, EAGAIN);
    received += c.read_at_client();
  }
  received += c.read_at_client();
  EXPECT_EQ(received, text);
  EXPECT_FALSE(c.server->has_unsent());
  const std::size_t taken = static_cast<std::size_t>(std::max<ssize_t>(first, 0));
  const iovec rest{const_cast<char*>(text.data()) + taken, text.size() - taken};
  EXPECT_EQ(c.server->write(c.sockets.server.get(), {&rest, 1}), static_cast<ssize_t>(rest.iov_len));
  EXPECT_EQ(c.read_at_client(), "");
}

TEST_F(WriteTest, IsBoundedInOneCall) {
  Connection c(server, client);
  ASSERT_TRUE(c.shake_hands());
  const int large = 8 * 1024 * 1024;
  ::setsockopt(c.sockets.server.get(), SOL_SOCKET, SO_SNDBUF, &large, sizeof large);
  const std::string text = text_of(1'000'000);
  const iovec part{const_cast<char*>(text.data()), text.size()};
  const ssize_t n = c.server->write(c.sockets.server.get(), {&part, 1});
  EXPECT_GT(n, 0);
  EXPECT_LE(n, 256 * 1024);
}

TEST_F(WriteTest, ToAPeerThatIsGoneFails) {
  Connection c(server, client);
  ASSERT_TRUE(c.shake_hands());
  c.sockets.client.reset();
  EXPECT_FALSE(c.send_from_server("hello"));  // and no SIGPIPE
  EXPECT_EQ(errno, EPIPE);
}

TEST_F(WriteTest, TheEndWaitsForRoomBehindAllElse) {
  Connection c(server, client);
  ASSERT_TRUE(c.shake_hands());
  shrink(c.sockets.server.get());
  const std::string text = text_of(50'000);
  const iovec part{const_cast<char*>(text.data()), text.size()};
  c.server->write(c.sockets.server.get(), {&part, 1});
  ASSERT_TRUE(c.server->has_unsent());
  EXPECT_EQ(c.server->end_output(c.sockets.server.get()), -1);
  EXPECT_EQ(errno, EAGAIN);
  std::string received = c.read_at_client();
  while (c.server->end_output(c.sockets.server.get()) != 0) received += c.read_at_client();
  received += c.read_at_client();
  EXPECT_EQ(received, text + "|0");
}

}  // namespace
}  // namespace evio::test
