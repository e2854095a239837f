// Guarantee 28: what is received over TLS, however the records arrive.
#include <sys/ioctl.h>

#include "tests/unit/tls/tls_fixture.hpp"

namespace evio::test {
namespace {

class ReadTest : public TlsTest {
 protected:
  static int unread(int fd) {
    int n = 0;
    ::ioctl(fd, FIONREAD, &n);
    return n;
  }
};

TEST_F(ReadTest, OfARecordThatIsCutAnywhereWaitsForItsEnd) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const TlsContext dialing = loaded(client_files());
    SSL_CTX_set_max_proto_version(static_cast<SSL_CTX*>(dialing.native()), version);
    Connection c(server, dialing);
    ASSERT_TRUE(c.shake_hands());
    SocketPair wire;
    for (std::size_t cut = 0;; ++cut) {
      ASSERT_TRUE(c.send_from_client("hello, world"));
      std::array<char, 256> record;
      const auto size = static_cast<std::size_t>(::read(c.sockets.server.get(), record.data(), record.size()));
      if (cut >= size) break;
      std::array<char, 32 * 1024> room;
      ASSERT_EQ(::write(wire.client.get(), record.data(), cut), static_cast<ssize_t>(cut));
      EXPECT_EQ(c.server->read(wire.server.get(), room), -1);
      EXPECT_EQ(errno, EAGAIN);
      EXPECT_FALSE(c.server->has_input()) << cut;  // it would never rest
      ASSERT_EQ(::write(wire.client.get(), record.data() + cut, size - cut), static_cast<ssize_t>(size - cut));
      ASSERT_EQ(c.server->read(wire.server.get(), room), 12);
    }
  }
}

TEST_F(ReadTest, ReadsOnceAndKeepsWhatThereIsNoRoomFor) {
  Connection c(server, client);
  ASSERT_TRUE(c.shake_hands());
  const std::string text(200'000, 'x');
  const int large = 1024 * 1024;
  ::setsockopt(c.sockets.client.get(), SOL_SOCKET, SO_SNDBUF, &large, sizeof large);
  ASSERT_TRUE(c.send_from_client(text));
  std::array<char, 32 * 1024> room;
  std::string received;
  int kept = 0;
  while (received.size() < text.size()) {
    const bool had = c.server->has_input();
    const int before = unread(c.sockets.server.get());
    const ssize_t n = c.server->read(c.sockets.server.get(), room);
    const int taken = before - unread(c.sockets.server.get());
    if (n < 0) {  // the rest was no whole record
      ASSERT_TRUE(had && errno == EAGAIN && taken == 0);
      EXPECT_FALSE(c.server->has_input());
      continue;
    }
    ASSERT_GT(n, 0);
    if (had) {
      EXPECT_EQ(taken, 0);
      ++kept;
    } else {
      EXPECT_LE(taken, static_cast<int>(room.size()));
    }
    received.append(room.data(), static_cast<std::size_t>(n));
  }
  EXPECT_EQ(received, text);
  EXPECT_FALSE(c.server->has_input());
  RecordProperty("kept", kept);
}

TEST_F(ReadTest, OfASmallRoomGivesOutTheRestOfARecordWithoutTheSocket) {
  Connection c(server, client);
  ASSERT_TRUE(c.shake_hands());
  std::string text(16'384, 'a');
  text.back() = 'z';
  ASSERT_TRUE(c.send_from_client(text));
  std::string received;
  std::array<char, 20'000> whole;
  ASSERT_EQ(c.server->read(c.sockets.server.get(), std::span(whole).first(16'400)), -1);  // not its last bytes
  received.append(whole.data(), 0);
  for (int i = 0; i < 4; ++i) {
    std::array<char, 5'000> room;
    const ssize_t n = c.server->read(c.sockets.server.get(), room);
    ASSERT_GT(n, 0);
    received.append(room.data(), static_cast<std::size_t>(n));
    EXPECT_EQ(c.server->has_input(), received.size() < text.size());
  }
  EXPECT_EQ(received, text);
}

TEST_F(ReadTest, BytesThatComeWithTheEndOfTheHandshakeAreKept) {
  Connection c(server, client);
  ASSERT_EQ(c.client->handshake(c.sockets.client.get()), Progress::kWantsRead);
  EXPECT_EQ(c.server->handshake(c.sockets.server.get()), Progress::kWantsRead);
  EXPECT_EQ(c.server->handshake(c.sockets.server.get()), Progress::kWantsRead);
  ASSERT_EQ(c.client->handshake(c.sockets.client.get()), Progress::kDone);
  ASSERT_TRUE(c.send_from_client("early"));
  ASSERT_EQ(c.server->handshake(c.sockets.server.get()), Progress::kDone);
  EXPECT_TRUE(c.server->has_input());
  EXPECT_EQ(unread(c.sockets.server.get()), 0);
  EXPECT_EQ(c.read_at_server(), "early");
}

// As a user may have set it through native(): OpenSSL then holds records that it has not looked at.
TEST_F(ReadTest, RecordsThatOpensslHasReadAheadNeedNoMoreInput) {
  SSL_CTX_set_read_ahead(static_cast<SSL_CTX*>(server.native()), 1);
  Connection c(server, client);
  ASSERT_TRUE(c.shake_hands());
  const std::string first(100, 'x');
  for (const std::string& text : {first, std::string("second"), std::string("third")})
    ASSERT_TRUE(c.send_from_client(text));
  std::array<char, 106> room;
  // A part of the first; then all the rest, of which the third has no room.
  ASSERT_EQ(c.server->read(c.sockets.server.get(), std::span(room).first(90)), -1);
  EXPECT_FALSE(c.server->has_input()) << "it would never rest";
  ASSERT_EQ(c.server->read(c.sockets.server.get(), room), 106);
  ASSERT_EQ(unread(c.sockets.server.get()), 0);
  EXPECT_TRUE(c.server->has_input());
  ASSERT_EQ(c.server->read(c.sockets.server.get(), room), 5);
  EXPECT_EQ(std::string_view(room.data(), 5), "third");
  EXPECT_FALSE(c.server->has_input());
}

TEST_F(ReadTest, OfTicketsAloneIsNothing) {
  Connection c(server, client);
  ASSERT_TRUE(c.shake_hands());
  std::array<char, 32 * 1024> room;
  EXPECT_GT(unread(c.sockets.client.get()), 0);
  EXPECT_EQ(c.client->read(c.sockets.client.get(), room), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_FALSE(c.client->has_input());
}

}  // namespace
}  // namespace evio::test
