// Guarantee 28: who is let in, and whom a dial trusts.
#include "tests/unit/tls/tls_fixture.hpp"

namespace evio::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class VerificationTest : public TlsTest {
 protected:
  /// Of a dial to a server with this certificate.
  Error dial(const Certificate& certificate, const std::string& host, TlsFiles files) {
    Connection c(loaded(files_of(certificate, "dialed")), loaded(files), host);
    return c.shake_hands() ? Error() : c.client->failure();
  }
  void refuses(const Certificate& certificate, const std::string& host, const std::string& words) {
    const Error err = dial(certificate, host, client_files());
    EXPECT_EQ(err.code(), std::errc::permission_denied) << err.message();
    EXPECT_EQ(err.message(), words);
    EXPECT_FALSE(dial(certificate, host, {.ca = ca, .verify = false}));
  }
  Certificate named(const std::string& name) { return Certificate({.names = {name}}, &authority); }
  TlsFiles demanding() {
    TlsFiles files = server_files();
    files.ca = ca;
    files.require_client = true;
    return files;
  }
};

TEST_F(VerificationTest, TakesTheNamesOfACertificate) {
  for (const char* host : {"a.example", "A.Example", "a.example.", "127.0.0.1", "::1", "0:0:0:0:0:0:0:1"}) {
    const Error err = dial(leaf, host, client_files());
    EXPECT_FALSE(err) << host << ": " << err.message();
  }
  EXPECT_FALSE(dial(named("DNS:*.b.example"), "a.b.example", client_files()));
}

TEST_F(VerificationTest, RefusesAnotherName) {
  const std::string words = "hostname mismatch: the certificate is not for ";
  refuses(leaf, "b.example", words + "b.example");
  refuses(leaf, "x.a.example", words + "x.a.example");
  refuses(named("DNS:*.b.example"), "x.a.b.example", words + "x.a.b.example");
  refuses(named("DNS:a*.b.example"), "ab.b.example", words + "ab.b.example");
  refuses(Certificate({.common_name = "a.example"}, &authority), "a.example", words + "a.example");
  refuses(named("IP:127.0.0.1"), "a.example", words + "a.example");
}

TEST_F(VerificationTest, RefusesAnotherAddress) {
  const std::string words = "IP address mismatch: the certificate is not for ";
  refuses(leaf, "127.0.0.2", words + "127.0.0.2");
  refuses(named("DNS:127.0.0.1"), "127.0.0.1", words + "127.0.0.1");
}

TEST_F(VerificationTest, RefusesACertificateThatIsNotOfItsTime) {
  refuses(Certificate({.names = {"DNS:a.example"}, .starts_after = -7200, .ends_after = -3600}, &authority),
          "a.example", "certificate has expired");
  refuses(Certificate({.names = {"DNS:a.example"}, .starts_after = 3600}, &authority), "a.example",
          "certificate is not yet valid");
}

TEST_F(VerificationTest, RefusesOneThatNobodyHasSigned) {
  refuses(Certificate({.names = {"DNS:a.example"}}), "a.example", "self-signed certificate");
  const Certificate other({.common_name = "Other", .authority = true});
  refuses(Certificate({.names = {"DNS:a.example"}}, &other), "a.example", "unable to get local issuer certificate");
}

TEST_F(VerificationTest, WithoutACaTrustsTheSystemsAlone) {
  const Error err = dial(leaf, "a.example", {});
  EXPECT_EQ(err.code(), std::errc::permission_denied);
}

TEST_F(VerificationTest, TrustsAnAuthorityThatAnotherOneHasSigned) {
  const Certificate middle({.common_name = "Middle", .authority = true}, &authority);
  const Certificate below({.names = {"DNS:a.example"}}, &middle);
  EXPECT_FALSE(dial(below, "a.example", {.ca = folder.write("middle.pem", middle.certificate_pem())}));
  // The root alone does not do where the server does not send what is between them.
  EXPECT_TRUE(dial(below, "a.example", client_files()));
  TlsFiles files = files_of(below, "below");
  files.certificate = folder.write("chain.pem", below.certificate_pem() + middle.certificate_pem());
  Connection c(loaded(files), client);
  EXPECT_TRUE(c.shake_hands()) << c.client->failure().message();
}

TEST_F(VerificationTest, WithoutANameToVerifyFails) {
  SocketPair sockets;
  const auto dialed = connect(client, "");
  EXPECT_EQ(dialed->handshake(sockets.client.get()), Progress::kFailed);
  EXPECT_EQ(dialed->failure().code(), std::errc::invalid_argument);
  const auto zero = connect(client, std::string("a.example\0.b", 12));
  EXPECT_EQ(zero->handshake(sockets.client.get()), Progress::kFailed);
  EXPECT_EQ(zero->failure().code(), std::errc::invalid_argument);
  const auto endless = connect(client, std::string(300, 'a'));
  EXPECT_EQ(endless->handshake(sockets.client.get()), Progress::kFailed);
}

TEST_F(VerificationTest, AnAddressIsNotAskedForByName) {
  Connection c(server, client, "127.0.0.1");
  ASSERT_TRUE(c.shake_hands());
  EXPECT_EQ(c.client->info().server_name, "");
  EXPECT_THAT(c.client->info().peer_names, ElementsAre("a.example", "127.0.0.1", "::1"));
}

TEST_F(VerificationTest, OfAServerTellsItsNames) {
  Connection c(server, client);
  ASSERT_TRUE(c.shake_hands());
  EXPECT_EQ(c.client->info().peer_subject, "CN=server");
  EXPECT_THAT(c.client->info().peer_names, ElementsAre("a.example", "127.0.0.1", "::1"));
  EXPECT_EQ(c.server->info().peer_subject, "");
  EXPECT_THAT(c.server->info().peer_names, IsEmpty());
}

TEST_F(VerificationTest, TellsNoDnsNameThatPassesForAnother) {
  const Certificate odd({.names = {"DNS:a.example", "DNS:email:u@b.example", "DNS:10.0.0.1", "DNS:URI:x"}}, &authority);
  Connection c(loaded(files_of(odd, "odd")), client);
  ASSERT_TRUE(c.shake_hands());
  EXPECT_THAT(c.client->info().peer_names, ElementsAre("a.example"));
}

TEST_F(VerificationTest, ThatIsOffTellsNoNames) {
  Connection c(server, loaded({.ca = ca, .verify = false}), "a.example");
  ASSERT_TRUE(c.shake_hands());
  EXPECT_EQ(c.client->info().peer_subject, "");
  EXPECT_THAT(c.client->info().peer_names, IsEmpty());
}

TEST_F(VerificationTest, OfAClientTellsItsNames) {
  Connection c(loaded(demanding()), loaded(user_files()));
  ASSERT_TRUE(c.shake_hands()) << c.server->failure().message();
  EXPECT_EQ(c.server->info().peer_subject, "CN=user,O=Evio\\, Inc.");
  EXPECT_THAT(c.server->info().peer_names, ElementsAre("email:u@b.example", "URI:spiffe://x/y"));
}

TEST_F(VerificationTest, RequiresAClientsCertificate) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const TlsContext dialing = loaded(client_files());
    SSL_CTX_set_max_proto_version(static_cast<SSL_CTX*>(dialing.native()), version);
    Connection c(loaded(demanding()), dialing);
    EXPECT_FALSE(c.shake_hands());
    EXPECT_EQ(c.server_progress, Progress::kFailed);
    EXPECT_EQ(c.server->failure().code(), std::errc::permission_denied);
    EXPECT_EQ(c.server->failure().message(), "the peer has no certificate");
    if (version == TLS1_3_VERSION) {
      EXPECT_EQ(c.read_at_client(), "|EPROTO");  // in TLS 1.3 the client is done before it is told
    }
    EXPECT_EQ(c.client->failure().message(),
              version == TLS1_3_VERSION ? "the peer says: certificate required" : "the peer says: handshake failure");
  }
}

TEST_F(VerificationTest, WithACaVerifiesAClientThatHasACertificate) {
  TlsFiles files = demanding();
  files.require_client = false;
  Connection without(loaded(files), client);
  EXPECT_TRUE(without.shake_hands());
  EXPECT_EQ(without.server->info().peer_subject, "");
  const Certificate stranger({.common_name = "stranger"});
  TlsFiles dialing = files_of(stranger, "stranger");
  dialing.ca = ca;
  Connection with(loaded(files), loaded(dialing));
  EXPECT_FALSE(with.shake_hands());
  EXPECT_EQ(with.server->failure().code(), std::errc::permission_denied);
  EXPECT_EQ(with.server->failure().message(), "self-signed certificate");
}

}  // namespace
}  // namespace evio::test
