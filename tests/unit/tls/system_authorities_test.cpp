// Guarantee 28: a dial without a `ca` trusts the system's authorities, which nobody reads who does not dial.
#include <openssl/x509.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/tls/tls_fixture.hpp"

namespace evio::test {
namespace {

/// Sets a variable of the environment until its end. Thread-safety: no other thread may look at the environment.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) { ::setenv(name, value.c_str(), 1); }
  ~Variable() { ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* const name_;
};

class SystemAuthoritiesTest : public TlsTest {
 protected:
  /// How many certificates it has by now to verify with.
  static int known_to(const TlsContext& context) {
    X509_STORE* const store = SSL_CTX_get_cert_store(static_cast<SSL_CTX*>(context.native()));
    return sk_X509_OBJECT_num(X509_STORE_get0_objects(store));
  }
  static void expect_success(const TlsContext& dialing, const TlsContext& accepting) {
    Connection c(accepting, dialing);
    EXPECT_TRUE(c.shake_hands()) << c.client->failure().message();
  }

  Certificate other_{{.common_name = "Other", .authority = true}};
  Variable file_{X509_get_default_cert_file_env(),
                 folder.write("system.pem", authority.certificate_pem() + other_.certificate_pem())};
  Variable directory_{X509_get_default_cert_dir_env(), folder.path("none")};
};

TEST_F(SystemAuthoritiesTest, AreReadAtOnceByAContextThatCanOnlyDial) {
  const TlsContext dialing = loaded({});
  EXPECT_EQ(known_to(dialing), 2);
  expect_success(dialing, server);
}

TEST_F(SystemAuthoritiesTest, AreNotReadForAListener) {
  const TlsContext listening = loaded(server_files());
  for (int i = 0; i != 3; ++i) expect_success(client, listening);
  EXPECT_EQ(known_to(listening), 0);
}

TEST_F(SystemAuthoritiesTest, AreNotReadWhereThereIsACaOrNothingIsVerified) {
  EXPECT_EQ(known_to(loaded({.verify = false})), 0);
  EXPECT_EQ(known_to(client), 1);
  TlsFiles files = server_files();
  files.verify = false;
  const TlsContext careless = loaded(files);
  expect_success(careless, server);
  EXPECT_EQ(known_to(careless), 0);
}

// Whichever thread is the first, none verifies before all of them are there.
TEST_F(SystemAuthoritiesTest, AreReadOnceByTheFirstDialOfAContextThatCanListen) {
  for (int round = 0; round != 10; ++round) {
    const TlsContext both = loaded(server_files());
    std::vector<std::thread> threads;
    for (int i = 0; i != 4; ++i) threads.emplace_back([&] { expect_success(both, server); });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(known_to(both), 2);
  }
}

}  // namespace
}  // namespace evio::test
