// Guarantee 28: how a TLS connection begins.
#include "tests/unit/tls/tls_fixture.hpp"

namespace evio::test {
namespace {

using HandshakeTest = TlsTest;

TlsContext up_to_tls12(TlsContext context) {
  SSL_CTX_set_max_proto_version(static_cast<SSL_CTX*>(context.native()), TLS1_2_VERSION);
  return context;
}

TEST_F(HandshakeTest, IsTls13WhereBothCan) {
  Connection c(server, client);
  ASSERT_TRUE(c.shake_hands()) << c.client->failure().message() << c.server->failure().message();
  for (const TlsSession* side : {c.server.get(), c.client.get()}) {
    EXPECT_EQ(side->info().version, "TLSv1.3");
    EXPECT_EQ(side->info().cipher, "TLS_AES_256_GCM_SHA384");
    EXPECT_EQ(side->info().server_name, "a.example");
    EXPECT_EQ(side->info().alpn, "");
    EXPECT_FALSE(side->info().resumed);
    EXPECT_TRUE(side->may_half_close());
    EXPECT_FALSE(side->has_unsent());
  }
  EXPECT_TRUE(c.send_from_client("hello"));
  EXPECT_EQ(c.read_at_server(), "hello");
  EXPECT_TRUE(c.send_from_server("world"));
  EXPECT_EQ(c.read_at_client(), "world");
}

TEST_F(HandshakeTest, IsTls12WhereOneCanNoMore) {
  Connection c(server, up_to_tls12(client));
  ASSERT_TRUE(c.shake_hands()) << c.client->failure().message() << c.server->failure().message();
  EXPECT_EQ(c.server->info().version, "TLSv1.2");
  EXPECT_EQ(c.client->info().version, "TLSv1.2");
  EXPECT_FALSE(c.server->may_half_close());
  EXPECT_TRUE(c.send_from_client("hello"));
  EXPECT_EQ(c.read_at_server(), "hello");
}

TEST_F(HandshakeTest, FailsBelowTheLeastVersion) {
  TlsFiles files = server_files();
  files.min_version = 13;
  Connection c(loaded(files), up_to_tls12(client));
  EXPECT_FALSE(c.shake_hands());
  EXPECT_EQ(c.server->failure().code(), std::errc::protocol_error);
  EXPECT_EQ(c.server->failure().message(), "unsupported protocol");
  EXPECT_EQ(c.client->failure().message(), "the peer says: protocol version");
}

TEST_F(HandshakeTest, ConnectionsOfBothVersionsLeaveNoErrorBehind) {
  for (const auto& context : {client, up_to_tls12(loaded(client_files()))}) {
    Connection c(server, context);
    EXPECT_TRUE(c.shake_hands());
  }
}

TEST_F(HandshakeTest, TakesWhatWasReadAlreadyFirst) {
  SocketPair sockets;
  const auto dialed = connect(client, "a.example");
  ASSERT_EQ(dialed->handshake(sockets.client.get()), Progress::kWantsRead);
  std::array<char, 4096> hello;
  const ssize_t n = ::read(sockets.server.get(), hello.data(), hello.size());
  ASSERT_GT(n, 0);
  const auto accepted = accept(server, {hello.data(), static_cast<std::size_t>(n)}, "a.example");
  EXPECT_EQ(accepted->handshake(sockets.server.get()), Progress::kWantsRead);
  EXPECT_EQ(dialed->handshake(sockets.client.get()), Progress::kDone);
  EXPECT_EQ(accepted->handshake(sockets.server.get()), Progress::kDone);
}

TEST_F(HandshakeTest, GoesOnHoweverItsRecordsAreCut) {
  for (const auto& context : {client, up_to_tls12(loaded(client_files()))}) {
    Connection c(server, context);
    SocketPair wires;  // what each side has sent is passed on byte by byte
    const auto pass = [](int from, int to) {
      char byte;
      return ::read(from, &byte, 1) == 1 && ::write(to, &byte, 1) == 1;
    };
    for (int idle = 0; idle < 3; ++idle) {
      if (Connection::goes_on(c.client_progress)) c.client_progress = c.client->handshake(c.sockets.client.get());
      while (pass(c.sockets.server.get(), wires.client.get())) {
        idle = 0;
        if (Connection::goes_on(c.server_progress)) c.server_progress = c.server->handshake(wires.server.get());
      }
      while (pass(wires.client.get(), c.sockets.server.get())) {
        idle = 0;
        if (Connection::goes_on(c.client_progress)) c.client_progress = c.client->handshake(c.sockets.client.get());
      }
    }
    EXPECT_EQ(c.client_progress, Progress::kDone) << c.client->failure().message();
    EXPECT_EQ(c.server_progress, Progress::kDone) << c.server->failure().message();
  }
}

TEST_F(HandshakeTest, WaitsForRoomInAFullSocket) {
  SocketPair sockets;
  std::string junk(1024, 'x');
  std::size_t filled = 0;
  for (ssize_t n; (n = ::write(sockets.client.get(), junk.data(), junk.size())) > 0;)
    filled += static_cast<std::size_t>(n);
  const auto dialed = connect(client, "a.example");
  ASSERT_EQ(dialed->handshake(sockets.client.get()), Progress::kWantsWrite);
  EXPECT_EQ(dialed->handshake(sockets.client.get()), Progress::kWantsWrite);
  EXPECT_TRUE(dialed->has_unsent());
  while (filled > 0)
    filled -= static_cast<std::size_t>(::read(sockets.server.get(), junk.data(), std::min(filled, junk.size())));
  EXPECT_EQ(dialed->handshake(sockets.client.get()), Progress::kWantsRead);
  const auto accepted = accept(server);
  accepted->handshake(sockets.server.get());
  EXPECT_EQ(accepted->handshake(sockets.server.get()), Progress::kWantsRead);
  EXPECT_EQ(dialed->handshake(sockets.client.get()), Progress::kDone);
}

TEST_F(HandshakeTest, OfAPeerThatGoesFails) {
  Connection c(server, client);
  c.client->handshake(c.sockets.client.get());
  c.sockets.client.reset();
  EXPECT_FALSE(c.shake_hands());
  EXPECT_EQ(c.server_progress, Progress::kFailed);
  EXPECT_TRUE(c.server->failure());
}

TEST_F(HandshakeTest, OfAPeerThatEndsItsStreamFails) {
  Connection c(server, client);
  ::shutdown(c.sockets.client.get(), SHUT_WR);
  c.server_progress = c.server->handshake(c.sockets.server.get());
  c.server_progress = c.server->handshake(c.sockets.server.get());
  EXPECT_EQ(c.server_progress, Progress::kFailed);
  EXPECT_EQ(c.server->failure().code(), std::errc::protocol_error);
  EXPECT_EQ(c.server->failure().message(), "the peer has closed the connection during the handshake");
}

TEST_F(HandshakeTest, OfAPeerThatSpeaksAnotherProtocolFails) {
  SocketPair sockets;
  const auto accepted = accept(server, "GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(accepted->handshake(sockets.server.get()), Progress::kFailed);
  EXPECT_EQ(accepted->failure().code(), std::errc::protocol_error);
  EXPECT_EQ(accepted->failure().message(), "http request");
  std::array<char, 32 * 1024> room;
  EXPECT_EQ(accepted->read(sockets.server.get(), room), -1);
  EXPECT_EQ(errno, EPROTO);
}

TEST_F(HandshakeTest, WithAContextForDialingFailsInClearWords) {
  Connection c(client, client);
  EXPECT_FALSE(c.shake_hands());
  EXPECT_EQ(c.server->failure().code(), std::errc::invalid_argument);
  EXPECT_EQ(c.server->failure().message(), "the TLS context has no certificate: it is for dialing");
}

TEST_F(HandshakeTest, ChoosesTheProtocolThatTheServerPrefers) {
  TlsFiles with = server_files(), dialing = client_files();
  with.alpn = {"h2", "http/1.1"};
  dialing.alpn = {"http/1.1", "h2"};
  Connection c(loaded(with), loaded(dialing));
  ASSERT_TRUE(c.shake_hands());
  EXPECT_EQ(c.server->info().alpn, "h2");
  EXPECT_EQ(c.client->info().alpn, "h2");
}

TEST_F(HandshakeTest, WithoutACommonProtocolFails) {
  TlsFiles with = server_files(), dialing = client_files();
  with.alpn = {"h2"};
  dialing.alpn = {"h", "h22"};
  Connection c(loaded(with), loaded(dialing));
  EXPECT_FALSE(c.shake_hands());
  EXPECT_EQ(c.server->failure().message(), "no application protocol");
  EXPECT_EQ(c.client->failure().message(), "the peer says: no application protocol");
}

TEST_F(HandshakeTest, WithProtocolsOnOneSideOnlyHasNone) {
  TlsFiles with = server_files(), dialing = client_files();
  with.alpn = dialing.alpn = {"h2"};
  Connection server_only(loaded(with), client), client_only(server, loaded(dialing));
  EXPECT_TRUE(server_only.shake_hands());
  EXPECT_TRUE(client_only.shake_hands());
  EXPECT_EQ(server_only.client->info().alpn + client_only.server->info().alpn, "");
}

}  // namespace
}  // namespace evio::test
