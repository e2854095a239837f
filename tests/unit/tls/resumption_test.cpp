// Guarantee 28: which sessions are resumed.
#include "tests/unit/tls/tls_fixture.hpp"

namespace evio::test {
namespace {

class ResumptionTest : public TlsTest, public testing::WithParamInterface<int> {
 protected:
  /// A client that knows no session yet.
  TlsContext fresh(TlsFiles files) {
    TlsContext context = loaded(files);
    SSL_CTX_set_max_proto_version(static_cast<SSL_CTX*>(context.native()),
                                  GetParam() == 12 ? TLS1_2_VERSION : TLS1_3_VERSION);
    return context;
  }
  /// One connection, and whether it has resumed a session. What the client gets of tickets it reads.
  static bool resumes(const TlsContext& accepting, const TlsContext& dialing, const std::string& host = "a.example",
                      bool closed_well = true) {
    Connection c(accepting, dialing, host);
    EXPECT_TRUE(c.shake_hands()) << c.client->failure().message() << " / " << c.server->failure().message();
    EXPECT_EQ(c.read_at_client(), "");
    if (closed_well) {
      c.server->end_output(c.sockets.server.get());
      c.read_at_client();
    }
    EXPECT_EQ(c.client->info().resumed, c.server->info().resumed);
    last_subject = c.server->info().peer_subject;
    EXPECT_EQ(c.client->info().peer_subject, "CN=server");
    return c.server->info().resumed;
  }
  TlsFiles demanding(const std::string& authorities) {
    TlsFiles files = server_files();
    files.ca = authorities;
    files.require_client = true;
    return files;
  }
  inline static std::string last_subject;
};

INSTANTIATE_TEST_SUITE_P(, ResumptionTest, testing::Values(12, 13));

TEST_P(ResumptionTest, WorksWithTheSameContexts) {
  const TlsContext dialing = fresh(client_files());
  EXPECT_FALSE(resumes(server, dialing));
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(resumes(server, dialing)) << i;
}

TEST_P(ResumptionTest, WorksHoweverTheConnectionHasEnded) {
  const TlsContext dialing = fresh(client_files());
  EXPECT_FALSE(resumes(server, dialing, "a.example", false));
  EXPECT_TRUE(resumes(server, dialing, "a.example", false));
}

TEST_P(ResumptionTest, IsOfOneNameAlone) {
  const TlsContext dialing = fresh(client_files());
  EXPECT_FALSE(resumes(server, dialing, "a.example"));
  EXPECT_FALSE(resumes(server, dialing, "127.0.0.1"));
  EXPECT_TRUE(resumes(server, dialing, "127.0.0.1"));
  EXPECT_TRUE(resumes(server, dialing, "A.EXAMPLE"));
}

// As a client might that keeps sessions by address.
TEST_P(ResumptionTest, IsRefusedToAClientThatAsksForAnotherName) {
  const TlsContext dialing = fresh(client_files());
  EXPECT_FALSE(resumes(server, dialing));
  Connection c(server, dialing);
  c.server = accept(server, {}, "b.example");
  ASSERT_TRUE(c.shake_hands());
  EXPECT_FALSE(c.server->info().resumed);
}

TEST_P(ResumptionTest, IsNotOfAnotherContext) {
  const TlsContext dialing = fresh(client_files());
  const TlsContext other = loaded(server_files());
  EXPECT_FALSE(resumes(server, dialing));
  EXPECT_FALSE(resumes(other, dialing));
}

TEST_P(ResumptionTest, GoesOnWithTheContextThatReplacesOne) {
  const TlsContext dialing = fresh(client_files());
  TlsContext first = loaded(server_files());
  EXPECT_FALSE(resumes(first, dialing));
  const TlsContext second = loaded(server_files(), first);
  first = TlsContext();
  const TlsContext third = loaded(server_files(), second);
  EXPECT_TRUE(resumes(third, dialing));
  EXPECT_FALSE(resumes(second, fresh(client_files())));
}

TEST_P(ResumptionTest, IsNotOfTheContextThatWasReplaced) {
  const TlsContext dialing = fresh(client_files());
  const TlsContext next = loaded(server_files(), server);
  EXPECT_FALSE(resumes(next, dialing));
  EXPECT_FALSE(resumes(server, dialing));
}

TEST_P(ResumptionTest, KeepsWhatIsKnownOfTheClient) {
  const TlsContext dialing = fresh(user_files()), accepting = loaded(demanding(ca));
  EXPECT_FALSE(resumes(accepting, dialing));
  EXPECT_TRUE(resumes(accepting, dialing));
  EXPECT_EQ(last_subject, "CN=user,O=Evio\\, Inc.");
  const TlsContext next = loaded(demanding(ca), accepting);
  EXPECT_TRUE(resumes(next, dialing));
  EXPECT_EQ(last_subject, "CN=user,O=Evio\\, Inc.");
}

TEST_P(ResumptionTest, IsNotWhereACertificateIsRequiredOnlyNow) {
  const TlsContext dialing = fresh(client_files());
  EXPECT_FALSE(resumes(server, dialing));
  Connection c(loaded(demanding(ca), server), dialing);
  EXPECT_FALSE(c.shake_hands());
  EXPECT_EQ(c.server->failure().message(), "the peer has no certificate");
}

TEST_P(ResumptionTest, IsNotWhereItWasAskedForButNotGiven) {
  TlsFiles files = demanding(ca);
  files.require_client = false;
  const TlsContext asking = loaded(files), dialing = fresh(client_files());
  EXPECT_FALSE(resumes(asking, dialing));
  Connection c(loaded(demanding(ca), asking), dialing);
  EXPECT_FALSE(c.shake_hands());
  EXPECT_EQ(c.server->failure().message(), "the peer has no certificate");
}

TEST_P(ResumptionTest, IsNotWhereOtherAuthoritiesAreTrusted) {
  const Certificate other({.common_name = "Other", .authority = true});
  const std::string others = folder.write("other.pem", other.certificate_pem());
  const std::string both = folder.write("both.pem", other.certificate_pem() + authority.certificate_pem());
  const TlsContext accepting = loaded(demanding(ca)), dialing = fresh(user_files());
  EXPECT_FALSE(resumes(accepting, dialing));
  EXPECT_TRUE(resumes(loaded(demanding(both), accepting), dialing));  // all of the old ones still are
  EXPECT_FALSE(resumes(accepting, fresh(user_files())));
  EXPECT_FALSE(resumes(accepting, dialing));
  Connection c(loaded(demanding(others), accepting), dialing);
  EXPECT_FALSE(c.shake_hands());
  EXPECT_EQ(c.server->failure().code(), std::errc::permission_denied);
}

TEST_P(ResumptionTest, IsNotBelowTheLeastVersion) {
  const TlsContext dialing = fresh(client_files());
  EXPECT_FALSE(resumes(server, dialing));
  TlsFiles files = server_files();
  files.min_version = 13;
  Connection c(loaded(files, server), dialing);
  EXPECT_EQ(c.shake_hands(), GetParam() == 13);
  EXPECT_EQ(c.server->info().resumed, GetParam() == 13);
}

TEST_P(ResumptionTest, IsNotOnceTheClientsCertificateHasExpired) {
  const Certificate brief({.common_name = "brief", .ends_after = 2}, &authority);
  TlsFiles files = files_of(brief, "brief");
  files.ca = ca;
  const TlsContext accepting = loaded(demanding(ca)), dialing = fresh(files);
  EXPECT_FALSE(resumes(accepting, dialing));
  ::usleep(3'100'000);
  Connection c(accepting, dialing);
  EXPECT_FALSE(c.shake_hands());
  EXPECT_EQ(c.server->failure().message(), "certificate has expired");
}

}  // namespace
}  // namespace evio::test
