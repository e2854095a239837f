// Guarantee 28: how the stream of a TLS connection ends, and key updates.
#include <openssl/err.h>

#include <algorithm>

#include "tests/unit/tls/tls_fixture.hpp"

namespace evio::test {
namespace {

class EndTest : public TlsTest, public testing::WithParamInterface<int> {
 protected:
  void SetUp() override {
    if (GetParam() == 12) SSL_CTX_set_max_proto_version(static_cast<SSL_CTX*>(client.native()), TLS1_2_VERSION);
    connection_ = std::make_unique<Connection>(server, client);
    ASSERT_TRUE(connection_->shake_hands());
    connection_->read_at_client();  // tickets
  }
  std::unique_ptr<Connection> connection_;
};

INSTANTIATE_TEST_SUITE_P(, EndTest, testing::Values(12, 13));

TEST_P(EndTest, OfOneSideIsToldBehindItsBytes) {
  Connection& c = *connection_;
  EXPECT_TRUE(c.send_from_server("the last"));
  EXPECT_EQ(c.server->end_output(c.sockets.server.get()), 0);
  EXPECT_EQ(c.server->end_output(c.sockets.server.get()), 0);  // once is enough
  std::array<char, 32 * 1024> room;
  ASSERT_EQ(c.client->read(c.sockets.client.get(), room), 8);
  EXPECT_TRUE(c.client->has_input());
  EXPECT_EQ(c.client->read(c.sockets.client.get(), room), 0);
  EXPECT_FALSE(c.client->has_input());
  EXPECT_EQ(c.client->read(c.sockets.client.get(), room), 0);
  EXPECT_FALSE(c.client->is_truncated());
  EXPECT_FALSE(c.client->failure());
}

TEST_P(EndTest, OfTheSocketAloneIsATruncation) {
  Connection& c = *connection_;
  EXPECT_TRUE(c.send_from_client("hello"));
  ::shutdown(c.sockets.client.get(), SHUT_WR);
  EXPECT_EQ(c.read_at_server(), "hello|EPROTO");
  EXPECT_TRUE(c.server->is_truncated());
  EXPECT_EQ(c.server->failure().code(), std::errc::protocol_error);
  EXPECT_THAT(c.server->failure().message(), testing::HasSubstr("truncated"));
  // What was pending can still be sent.
  EXPECT_TRUE(c.send_from_server("answer"));
  EXPECT_EQ(c.server->end_output(c.sockets.server.get()), 0);
  EXPECT_EQ(c.read_at_client(), "answer|0");
}

TEST_P(EndTest, OfTheSocketBehindCloseNotifyIsNone) {
  Connection& c = *connection_;
  EXPECT_EQ(c.client->end_output(c.sockets.client.get()), 0);
  ::shutdown(c.sockets.client.get(), SHUT_WR);
  EXPECT_EQ(c.read_at_server(), "|0");
  EXPECT_EQ(c.read_at_server(), "|0");
  EXPECT_FALSE(c.server->is_truncated());
}

TEST_P(EndTest, OfOneSideLeavesTheOtherOpen) {
  if (GetParam() == 12) return;
  Connection& c = *connection_;
  EXPECT_EQ(c.client->end_output(c.sockets.client.get()), 0);
  ::shutdown(c.sockets.client.get(), SHUT_WR);
  EXPECT_EQ(c.read_at_server(), "|0");
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(c.send_from_server("more"));
    EXPECT_EQ(c.read_at_client(), "more");
  }
  EXPECT_EQ(c.server->end_output(c.sockets.server.get()), 0);
  EXPECT_EQ(c.read_at_client(), "|0");
}

TEST_P(EndTest, OfASocketThatWasResetIsTheSystemsError) {
  Connection& c = *connection_;
  EXPECT_TRUE(c.send_from_server("unread"));
  c.sockets.client.reset();  // a unix socket says so where bytes were unread
  EXPECT_EQ(c.read_at_server(), "|ECONNRESET");
  EXPECT_EQ(c.server->failure().code(), std::error_code(ECONNRESET, std::system_category()));
  EXPECT_FALSE(c.server->is_truncated());
}

TEST_P(EndTest, OfAStreamThatWasTamperedWithIsAProtocolError) {
  Connection& c = *connection_;
  EXPECT_TRUE(c.send_from_client("good"));
  EXPECT_TRUE(c.send_from_client("bad"));
  std::array<char, 4096> wire;
  const ssize_t n = ::read(c.sockets.server.get(), wire.data(), wire.size());
  ASSERT_GT(n, 0);
  wire[static_cast<std::size_t>(n) - 1] ^= 1;
  ASSERT_EQ(::write(c.sockets.client.get(), wire.data(), static_cast<std::size_t>(n)), n);
  std::array<char, 32 * 1024> room;
  ASSERT_EQ(c.server->read(c.sockets.server.get(), room), 4);
  EXPECT_TRUE(c.server->has_input());  // the failure
  EXPECT_EQ(c.server->read(c.sockets.server.get(), room), -1);
  EXPECT_EQ(errno, EPROTO);
  EXPECT_EQ(c.server->failure().message(), "decryption failed or bad record mac");
  EXPECT_FALSE(c.server->has_input());
  EXPECT_EQ(c.read_at_client(), "|EPROTO");
  EXPECT_EQ(c.client->failure().message(), "the peer says: bad record mac");
  EXPECT_EQ(c.server->end_output(c.sockets.server.get()), 0);  // nothing more to tell
}

/// A peer that is OpenSSL alone.
class Peer {
 public:
  Peer(const TlsContext& context, int fd, bool server) : Peer(static_cast<SSL_CTX*>(context.native()), fd, server) {}
  Peer(SSL_CTX* context, int fd, bool server) : ssl_(SSL_new(context)) {
    SSL_set_verify(ssl_, SSL_VERIFY_NONE, nullptr);
    SSL_set_fd(ssl_, fd);
    server ? SSL_set_accept_state(ssl_) : SSL_set_connect_state(ssl_);
  }
  ~Peer() { SSL_free(ssl_); }
  SSL* get() { return ssl_; }
  std::string read() {
    std::array<char, 1024> room;
    const int n = SSL_read(ssl_, room.data(), room.size());
    return n > 0 ? std::string(room.data(), static_cast<std::size_t>(n))
                 : "error " + std::to_string(SSL_get_error(ssl_, n));
  }

 private:
  SSL* ssl_;
};

std::string take(int fd, std::size_t most) {
  std::string bytes(most, '\0');
  const ssize_t n = ::read(fd, bytes.data(), most);
  bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  return bytes;
}

void give(int fd, const std::string& bytes) {
  ASSERT_EQ(::write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
}

// A ticket with the client's certificate is longer than the shortest records (RFC 6066, 4). While a part of it has
// come, OpenSSL writes nothing.
TEST_F(TlsTest, OutputWaitsForTheRestOfAMessageOfThePeers) {
  constexpr std::size_t kAll = 64 * 1024;
  const TlsFiles files = server_files();
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  ASSERT_EQ(SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()), 1);
  ASSERT_EQ(SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM), 1);
  ASSERT_EQ(SSL_CTX_load_verify_file(context.get(), ca.c_str()), 1);
  ASSERT_EQ(SSL_CTX_set_session_id_context(context.get(), reinterpret_cast<const unsigned char*>("x"), 1), 1);
  SocketPair its;
  SocketPair mine;
  Peer peer(context.get(), its.server.get(), true);
  SSL_set_verify(peer.get(), SSL_VERIFY_PEER, nullptr);
  ASSERT_EQ(SSL_set_max_send_fragment(peer.get(), 512), 1);
  const auto session = connect(loaded(user_files()), "a.example");
  for (int i = 0; i < 10 && !SSL_is_init_finished(peer.get()); ++i) {
    session->handshake(mine.client.get());
    give(its.client.get(), take(mine.server.get(), kAll));
    SSL_do_handshake(peer.get());
    if (!SSL_is_init_finished(peer.get())) give(mine.server.get(), take(its.client.get(), kAll));
  }
  const std::string tickets = take(its.client.get(), kAll);
  ASSERT_GT(tickets.size(), 5U);
  const auto first = 5U + 256U * static_cast<unsigned char>(tickets[3]) + static_cast<unsigned char>(tickets[4]);
  ASSERT_GT(tickets.size(), first);
  give(mine.server.get(), tickets.substr(0, first));
  EXPECT_EQ(Connection::read(*session, mine.client.get()), "");
  EXPECT_FALSE(session->wants_input());
  EXPECT_FALSE(Connection::send(*session, mine.client.get(), "early"));
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_TRUE(session->wants_input());
  give(mine.server.get(), tickets.substr(first));
  EXPECT_EQ(Connection::read(*session, mine.client.get()), "");
  EXPECT_FALSE(session->wants_input());
  EXPECT_TRUE(Connection::send(*session, mine.client.get(), "early"));
  give(its.client.get(), take(mine.server.get(), kAll));
  EXPECT_EQ(peer.read(), "early");
}

class PeerTest : public TlsTest {
 protected:
  void shake_hands() {
    for (int i = 0; i < 10; ++i) {
      SSL_do_handshake(peer.get());
      if (accepted->handshake(sockets.server.get()) == Progress::kDone && SSL_is_init_finished(peer.get())) return;
    }
    FAIL() << accepted->failure().message();
  }
  std::string read() { return Connection::read(*accepted, sockets.server.get()); }
  bool send(std::string_view text) { return Connection::send(*accepted, sockets.server.get(), text); }

  SocketPair sockets;
  std::unique_ptr<TlsSession> accepted = accept(server);
  Peer peer{client, sockets.client.get(), false};
};

TEST_F(PeerTest, KeyUpdatesAreFollowedAndAnswered) {
  shake_hands();
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(SSL_key_update(peer.get(), SSL_KEY_UPDATE_REQUESTED), 1);
    ASSERT_EQ(SSL_write(peer.get(), "new key", 7), 7);
    EXPECT_EQ(read(), "new key");
    EXPECT_TRUE(send("newer key"));
    EXPECT_EQ(peer.read(), "newer key");
  }
}

TEST_F(PeerTest, KeyUpdatesAreFollowedAfterTheEndOfOutput) {
  shake_hands();
  ASSERT_EQ(accepted->end_output(sockets.server.get()), 0);
  ::shutdown(sockets.server.get(), SHUT_WR);
  EXPECT_EQ(peer.read(), "error " + std::to_string(SSL_ERROR_ZERO_RETURN));
  ASSERT_EQ(SSL_key_update(peer.get(), SSL_KEY_UPDATE_REQUESTED), 1);
  ASSERT_EQ(SSL_write(peer.get(), "new key", 7), 7);
  EXPECT_EQ(read(), "new key");
  ASSERT_EQ(SSL_write(peer.get(), "more", 4), 4);
  EXPECT_EQ(read(), "more");
  EXPECT_FALSE(accepted->has_unsent());
}

// OpenSSL answers each at once: what the peer does not read would grow without end.
TEST_F(PeerTest, KeyUpdatesOfAPeerThatReadsNoAnswerAreLimited) {
  shake_hands();
  const int small = 4096;
  ::setsockopt(sockets.server.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  std::array<char, 32 * 1024> room;
  ssize_t n = -1;
  int updates = 0;
  for (errno = EAGAIN; n == -1 && errno == EAGAIN && updates < 100'000; ++updates) {
    ASSERT_EQ(SSL_key_update(peer.get(), SSL_KEY_UPDATE_REQUESTED), 1);
    ASSERT_EQ(SSL_do_handshake(peer.get()), 1);
    n = accepted->read(sockets.server.get(), room);
  }
  EXPECT_EQ(errno, EPROTO);
  EXPECT_EQ(accepted->failure().code(), std::errc::protocol_error);
  EXPECT_EQ(accepted->failure().message(), "the peer does not read what it asks for: key updates");
  EXPECT_GT(updates, 1'000);
}

TEST_F(PeerTest, RenegotiationIsRefused) {
  SSL_set_max_proto_version(peer.get(), TLS1_2_VERSION);
  shake_hands();
  SSL_clear_options(peer.get(), SSL_OP_NO_RENEGOTIATION);
  ASSERT_EQ(SSL_renegotiate(peer.get()), 1);
  EXPECT_EQ(SSL_do_handshake(peer.get()), -1);
  EXPECT_EQ(read(), "");
  EXPECT_FALSE(accepted->failure()) << accepted->failure().message();
  ERR_clear_error();
  EXPECT_EQ(SSL_do_handshake(peer.get()), -1);
  EXPECT_EQ(ERR_GET_REASON(ERR_get_error()), SSL_R_NO_RENEGOTIATION);  // by an alert
}

// OpenSSL 3 refuses it to clients by itself, but not to servers.
TEST_F(TlsTest, RenegotiationIsRefusedToAServer) {
  SocketPair sockets;
  const auto dialed = connect(client, "a.example");
  Peer peer(server, sockets.server.get(), true);
  SSL_set_max_proto_version(peer.get(), TLS1_2_VERSION);
  SSL_clear_options(peer.get(), SSL_OP_NO_RENEGOTIATION);
  for (int i = 0; i < 10 && dialed->handshake(sockets.client.get()) != Progress::kDone; ++i)
    SSL_do_handshake(peer.get());
  ASSERT_EQ(SSL_do_handshake(peer.get()), 1);
  ASSERT_EQ(SSL_renegotiate(peer.get()), 1);
  SSL_do_handshake(peer.get());  // sends a HelloRequest
  EXPECT_EQ(Connection::read(*dialed, sockets.client.get()), "");
  EXPECT_FALSE(dialed->failure()) << dialed->failure().message();
  ERR_clear_error();
  EXPECT_EQ(peer.read(), "error " + std::to_string(SSL_ERROR_SSL));
  EXPECT_EQ(ERR_GET_REASON(ERR_get_error()), SSL_R_NO_RENEGOTIATION);
}

}  // namespace
}  // namespace evio::test
