// Guarantee 28: what an idle connection takes, and what comes of it when there is no memory.
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include <cstdlib>
#include <vector>

#include "tests/support/timing.hpp"
#include "tests/unit/tls/tls_fixture.hpp"

namespace evio::test {
namespace {

long allocations_until_failure = -1;  // -1: none fails
long failures = 0;
long allocated = 0;  // blocks of OpenSSL's

bool fails() {
  if (allocations_until_failure < 0) return false;
  if (allocations_until_failure-- > 0) return false;
  ++failures;
  return true;  // one alone: allocations_until_failure is -1 now
}

void* counted_malloc(std::size_t size, const char*, int) {
  if (size == 0 || fails()) return nullptr;
  void* const block = std::malloc(size);
  allocated += block != nullptr;
  return block;
}

void* counted_realloc(void* block, std::size_t size, const char*, int) {
  if (size != 0 && fails()) return nullptr;
  if (block != nullptr && size == 0) --allocated;
  if (block == nullptr && size != 0) ++allocated;
  if (size == 0) {
    std::free(block);
    return nullptr;
  }
  return std::realloc(block, size);
}

void counted_free(void* block, const char*, int) {
  allocated -= block != nullptr;
  std::free(block);
}

// Before OpenSSL has allocated anything (CRYPTO_set_mem_functions(3)).
[[maybe_unused]] const int kReplaced = CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free);

class MemoryTest : public TlsTest {
 protected:
  static std::size_t bytes_in_use() {
    const auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
  }
  TlsFiles demanding() {
    TlsFiles files = server_files();
    files.ca = ca;
    files.require_client = true;
    return files;
  }
};

TEST_F(MemoryTest, OfAnIdleConnectionIs18KiBAtMost) {
  ASSERT_EQ(kReplaced, 1);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const bool mutual : {false, true}) {
      constexpr std::size_t kConnections = 500;
      const TlsContext accepting = mutual ? loaded(demanding()) : server;
      const TlsContext dialing = loaded(mutual ? user_files() : client_files());
      SSL_CTX_set_max_proto_version(static_cast<SSL_CTX*>(dialing.native()), version);
      std::vector<std::unique_ptr<Connection>> connections;
      std::vector<std::unique_ptr<TlsSession>> clients;
      for (std::size_t i = 0; i < kConnections; ++i) {
        connections.push_back(std::make_unique<Connection>(accepting, dialing));
        Connection& c = *connections.back();
        ASSERT_TRUE(c.shake_hands());
        ASSERT_EQ(c.read_at_client(), "");
        const std::string text(20'000, 'x');
        ASSERT_TRUE(c.send_from_client(text));
        ASSERT_EQ(c.read_at_server(), text);
        ASSERT_TRUE(c.send_from_server(text));
        ASSERT_EQ(c.read_at_client(), text);
      }
      const std::size_t all = bytes_in_use();
      for (auto& c : connections) c->client.reset();
      const std::size_t servers = bytes_in_use();
      for (auto& c : connections) c->server.reset();
      const std::size_t none = bytes_in_use();
      const std::size_t of_client = (all - servers) / kConnections, of_server = (servers - none) / kConnections;
      std::printf("TLS 1.%d%s: %zu bytes a server's, %zu a client's\n", version == TLS1_2_VERSION ? 2 : 3,
                  mutual ? ", mutual" : "", of_server, of_client);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
      // Without the certificate of the client, which is as long as it may be.
      EXPECT_LE(of_server, (mutual ? 22U : 18U) * 1024);
      EXPECT_LE(of_client, 18U * 1024);
#endif
    }
  }
}

/// Everything once, as a server does it. Whatever fails, nobody crashes; true: all went well.
bool use(const TlsContext& accepting, const TlsContext& dialing) {
  try {
    Connection c(accepting, dialing);
    if (!c.shake_hands()) {
      EXPECT_TRUE(c.client->failure() || c.server->failure());
      return false;
    }
    const std::string text(20'000, 'x');
    bool good = c.read_at_client().empty();
    good = c.send_from_client(text) && c.read_at_server() == text && good;
    good = c.send_from_server(text) && c.read_at_client() == text && good;
    good = c.server->end_output(c.sockets.server.get()) == 0 && c.read_at_client() == "|0" && good;
    return good;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

TEST_F(MemoryTest, ThatRunsOutInAConnectionFailsThatAlone) {
  const TlsContext accepting = loaded(demanding()), dialing = loaded(user_files());
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(use(accepting, dialing));  // and fills what is kept
  long good = 0;
  for (long nth = 0;; nth += 5) {
    failures = 0;
    allocations_until_failure = nth;
    good += use(accepting, dialing);
    allocations_until_failure = -1;
    if (failures == 0) break;
  }
  EXPECT_TRUE(use(accepting, dialing));
  RecordProperty("good", static_cast<int>(good));
}

TEST_F(MemoryTest, ThatRunsOutInAConnectionIsNotLost) {
  TlsContext accepting = loaded(demanding()), dialing = loaded(user_files());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(use(accepting, dialing));
  const auto once = [&](long nth) {
    accepting = loaded(demanding());
    dialing = loaded(user_files());
    failures = 0;
    allocations_until_failure = nth;
    use(accepting, dialing);
    allocations_until_failure = -1;
    accepting = dialing = TlsContext();
    ERR_clear_error();
    return allocated;
  };
  once(-1);
  const long before = once(-1);
  std::vector<long> lost;
  for (long nth = 0; nth < 4000; nth += 37) {
    if (once(nth) > before + 8) lost.push_back(nth);
    if (failures == 0) break;
  }
  EXPECT_THAT(lost, testing::IsEmpty());
}

TEST_F(MemoryTest, ThatRunsOutInLoadIsAnError) {
  const TlsFiles files = demanding();
  for (long nth = 0;; nth += kSanitized ? 1 + nth % 11 : 1) {
    failures = 0;
    allocations_until_failure = nth;
    Error err;
    const TlsContext context = TlsContext::load(files, err);
    allocations_until_failure = -1;
    EXPECT_EQ(static_cast<bool>(context), !err);
    if (failures == 0) {
      EXPECT_TRUE(context);
      break;
    }
  }
}

}  // namespace
}  // namespace evio::test
