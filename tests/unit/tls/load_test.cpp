// Guarantee 28: what TlsContext::load takes, and which file it says is wrong.
#include "tests/unit/tls/tls_fixture.hpp"

namespace evio::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class LoadTest : public TlsTest {
 protected:
  static void expect(const TlsFiles& files, std::errc code, const std::string& message) {
    const Error err = failure(files);
    EXPECT_EQ(err.code(), code) << err.message();
    EXPECT_THAT(err.message(), StartsWith(message));
  }
  std::string key_ = folder.write("k.pem", leaf.key_pem()),
              certificate_ = folder.write("c.pem", leaf.certificate_pem());
};

TEST_F(LoadTest, OfNothingIsForDialing) {
  const TlsContext context = loaded({});
  EXPECT_TRUE(context);
  EXPECT_NE(context.native(), nullptr);
  EXPECT_FALSE(TlsContext());
  EXPECT_EQ(TlsContext().native(), nullptr);
}

TEST_F(LoadTest, AllowsNoEarlyData) {
  const TlsContext context = loaded(server_files());
  EXPECT_EQ(SSL_CTX_get_max_early_data(static_cast<SSL_CTX*>(context.native())), 0u);
}

TEST_F(LoadTest, NamesAFileThatIsMissing) {
  const auto missing = std::errc::no_such_file_or_directory;
  const std::string path = folder.path("none.pem");
  expect({.certificate = path, .key = key_}, missing, "certificate " + path + ": No such file or directory");
  expect({.certificate = certificate_, .key = path}, missing, "key " + path + ": No such file or directory");
  expect({.ca = path}, missing, "ca " + path + ": No such file or directory");
  expect({.ca = folder.path("")}, std::errc::is_a_directory, "ca " + folder.path("") + ": Is a directory");
}

TEST_F(LoadTest, NamesAFileWithoutACertificate) {
  expect({.certificate = key_}, std::errc::invalid_argument, "certificate " + key_ + ": has no certificate");
  expect({.ca = key_}, std::errc::invalid_argument, "ca " + key_ + ": has no certificate");
}

TEST_F(LoadTest, NamesAFileThatIsDamaged) {
  std::string damaged = leaf.certificate_pem();
  damaged[60] = '!';
  const std::string path = folder.write("bad.pem", damaged);
  expect({.certificate = path, .key = key_}, std::errc::invalid_argument, "certificate " + path + ": ");
  // Also behind a good one: half of the authorities would be less than was asked for.
  const std::string second = folder.write("half.pem", authority.certificate_pem() + damaged);
  expect({.ca = second}, std::errc::invalid_argument, "ca " + second + ": ");
  std::string key = leaf.key_pem();
  key[40] = '!';
  const std::string key_path = folder.write("bad.key", key);
  expect({.certificate = certificate_, .key = key_path}, std::errc::invalid_argument,
         "key " + key_path + ": the key cannot be read: ");
}

TEST_F(LoadTest, TakesTheKeyFromTheCertificatesFile) {
  for (const std::string& text : {leaf.certificate_pem() + leaf.key_pem(),
                                  leaf.key_pem() + leaf.certificate_pem() + authority.certificate_pem()}) {
    Connection c(loaded({.certificate = folder.write("both.pem", text)}), client);
    EXPECT_TRUE(c.shake_hands()) << c.client->failure().message();
  }
  expect({.certificate = certificate_}, std::errc::invalid_argument,
         "certificate " + certificate_ + ": has no private key");
}

TEST_F(LoadTest, TakesAnRsaKey) {
  const Certificate rsa({.names = {"DNS:a.example"}, .rsa = true}, &authority);
  Connection c(loaded(files_of(rsa, "rsa")), client);
  EXPECT_TRUE(c.shake_hands()) << c.client->failure().message();
}

TEST_F(LoadTest, RefusesAKeyWithoutACertificate) {
  expect({.key = key_}, std::errc::invalid_argument, "key " + key_ + ": has no certificate");
}

TEST_F(LoadTest, RefusesTheKeyOfAnotherCertificate) {
  const std::string other = folder.write("other.key", user.key_pem());
  expect({.certificate = certificate_, .key = other}, std::errc::invalid_argument,
         "key " + other + ": the key is not that of certificate " + certificate_);
}

TEST_F(LoadTest, RefusesAKeyUnderAPassPhraseWithoutAsking) {
  const std::string path = folder.write("protected.key", leaf.protected_key_pem("secret"));
  expect({.certificate = certificate_, .key = path}, std::errc::invalid_argument,
         "key " + path + ": the key is protected by a pass phrase");
}

TEST_F(LoadTest, RefusesToRequireWhatItCannotVerify) {
  TlsFiles files = server_files();
  files.require_client = true;
  expect(files, std::errc::invalid_argument, "require_client: takes a ca");
}

TEST_F(LoadTest, RefusesOtherVersions) {
  for (const int version : {0, 10, 11, 14, 1, -1}) {
    expect({.min_version = version}, std::errc::invalid_argument,
           "min_version: is 12 or 13, not " + std::to_string(version));
  }
}

TEST_F(LoadTest, RefusesProtocolsThatCannotBeSent) {
  expect({.alpn = {"h2", ""}}, std::errc::invalid_argument, "alpn: ");
  expect({.alpn = {std::string(256, 'x')}}, std::errc::invalid_argument, "alpn: ");
  expect({.alpn = std::vector<std::string>(256, std::string(255, 'x'))}, std::errc::invalid_argument, "alpn: ");
  EXPECT_TRUE(loaded({.alpn = {std::string(255, 'x')}}));
}

TEST_F(LoadTest, RefusesAFileWithoutAnEnd) { expect({.ca = "/dev/zero"}, std::errc::file_too_large, "ca /dev/zero: "); }

TEST_F(LoadTest, LeavesAnErrorOfBeforeNowhere) {
  Error err(std::make_error_code(std::errc::io_error));
  EXPECT_TRUE(TlsContext::load({}, err));
  EXPECT_FALSE(err);
}

TEST_F(LoadTest, OfWhatASessionUsesLivesAsLongAsThat) {
  auto c = std::make_unique<Connection>(server, client);
  server = TlsContext();
  client = TlsContext();
  EXPECT_TRUE(c->shake_hands());
}

}  // namespace
}  // namespace evio::test
