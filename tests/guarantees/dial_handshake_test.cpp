// Guarantees 23 and 28: a dial that ends within its TLS handshake: why, and that nothing is lost or left by it.
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/dial_fixture.hpp"
#include "tests/support/laden_dial.hpp"
#include "tests/support/tls_peer.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

/// What a server answers the hello of a client with: all that it says in its handshake, in TLS 1.3. Empty where the
/// client ends before.
std::string answer_to_hello(int fd) {
  const std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(static_cast<SSL_CTX*>(test_tls_context().native())), SSL_free);
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_accept_state(ssl.get());
  std::string bytes(16 * 1024, '\0');
  while (BIO_pending(SSL_get_wbio(ssl.get())) == 0) {
    const ssize_t n = ::recv(fd, bytes.data(), bytes.size(), 0);
    if (n <= 0) return {};
    BIO_write(SSL_get_rbio(ssl.get()), bytes.data(), static_cast<int>(n));
    SSL_do_handshake(ssl.get());
  }
  bytes.resize(static_cast<std::size_t>(
      std::max(BIO_read(SSL_get_wbio(ssl.get()), bytes.data(), static_cast<int>(bytes.size())), 0)));
  return bytes;
}

/// A server that dials a peer which says only a part of its handshake.
class DialHandshakeTest : public DialTest {
 protected:
  enum class Then { kWaits, kEnds, kResets };

  void TearDown() override {
    server_.reset();  // the peer waits for the end of what it has dialed
    peer_.reset();
    DialTest::TearDown();
  }
  void serve_with_peer() { serve_with_peer(handlers()); }
  void serve_with_peer(Events handlers) {
    serve(std::move(handlers));
    peer_ = std::make_unique<TlsPeer>([this](int fd) { answer(fd); });
    // To learn how long the answer is: the same each time, but for a few bytes of a signature.
    const Conn conn = server().dial(there(), dial_how({.timeout = 0ns}));
    EXPECT_TRUE(answered_.wait_for(1));
    EXPECT_TRUE(conn.close());
    EXPECT_EQ(next_unreachable().code(), std::errc::operation_canceled);
  }
  std::string there() const { return dial_address(peer_->port()); }
  /// Where the peer may stop: before its answer, within a record's header, within messages, before the last byte.
  std::vector<std::size_t> stops() const {
    std::vector<std::size_t> all{0, 1, 5, 6};
    for (std::size_t at = 64; at < answer_size_; at += 128) all.push_back(at);
    all.push_back(answer_size_);
    return all;
  }
  /// Of the dial that ends next.
  Error next_unreachable() {
    EXPECT_TRUE(log_.wait_for("unreachable", ++dials_));
    return unreachable();
  }
  void expect_that_all_have_failed(std::size_t in_handshakes) {
    EXPECT_EQ(log_.count("opened"), 0u);
    EXPECT_EQ(log_.count("unreachable"), dials_);
    const Stats stats = server().stats();
    EXPECT_EQ(stats.unreachable, dials_);
    EXPECT_EQ(stats.dialed, 0u);
    EXPECT_EQ(stats.handshakes, 0u);
    EXPECT_EQ(stats.handshakes_failed, in_handshakes);
    EXPECT_TRUE(eventually([&] { return server().stats().connections == 0; }));
  }

  std::atomic<std::size_t> says_{0};  // of the answer, at most; never all
  std::atomic<Then> then_{Then::kWaits};
  Counter answered_;

 private:
  void answer(int fd) {
    const std::string all = answer_to_hello(fd);
    if (all.empty()) return;
    answer_size_ = all.size();
    const std::size_t n = std::min(says_.load(), all.size() - 1);
    EXPECT_EQ(::send(fd, all.data(), n, MSG_NOSIGNAL), static_cast<ssize_t>(n));
    answered_.add();
    const linger at_once{1, 0};
    if (then_ == Then::kResets) ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    if (then_ == Then::kEnds) ::shutdown(fd, SHUT_WR);
    if (then_ != Then::kResets) wait_for_end(fd);
  }

  std::atomic<std::size_t> answer_size_{0};
  std::size_t dials_ = 0;
  std::unique_ptr<TlsPeer> peer_;
};
EVIO_INSTANTIATE(DialHandshakeTest, (std::vector<Mode>{{Network::kTls, 1, PollerKind::kPortable},
                                                       {Network::kTls, 1, PollerKind::kEpoll},
                                                       {Network::kTls, 4, PollerKind::kEpoll}}));

TEST_P(DialHandshakeTest, APeerThatEndsWithinItIsUnreachable) {
  serve_with_peer();
  const std::string begin = "dial " + there() + ": handshake: ";
  std::size_t n = 0;
  for (const std::size_t stop : stops()) {
    for (const Then then : {Then::kEnds, Then::kResets}) {
      SCOPED_TRACE("at byte " + std::to_string(stop) + (then == Then::kEnds ? ", by an end" : ", by a reset"));
      says_ = stop;
      then_ = then;
      LadenDial dial(server(), there(), dial_how({.timeout = 0ns}));
      const Error err = next_unreachable();
      ++n;
      if (then == Then::kEnds) {
        EXPECT_EQ(err.code(), std::errc::protocol_error);
        EXPECT_EQ(err.message(), begin + "the peer has closed the connection during the handshake");
      } else {
        EXPECT_EQ(err.code(), std::errc::connection_reset);
        EXPECT_EQ(err.message(), begin + "Connection reset by peer");
      }
      dial.expect_nothing_left();
    }
  }
  expect_that_all_have_failed(n);
}

// Whatever the peer has said by then.
TEST_P(DialHandshakeTest, EndsAtTheTimeout) {
  serve_with_peer();
  std::size_t n = 0;
  for (const std::size_t stop : stops()) {
    says_ = stop;
    const auto began = std::chrono::steady_clock::now();
    server().dial(there(), dial_how({.timeout = 20ms}));
    const Error err = next_unreachable();
    ++n;
    EXPECT_GE(std::chrono::steady_clock::now() - began, 20ms);
    EXPECT_EQ(err.code(), std::errc::timed_out);
    EXPECT_EQ(err.message(), "dial " + there() + ": handshake: Connection timed out");
  }
  expect_that_all_have_failed(n);
}

// What was sent and posted is dropped, and the context is destroyed.
TEST_P(DialHandshakeTest, CloseAndAbortWithinIt) {
  serve_with_peer();
  for (const std::size_t stop : stops()) {
    for (const bool aborts : {false, true}) {
      SCOPED_TRACE("at byte " + std::to_string(stop) + (aborts ? ", abort" : ", close"));
      says_ = stop;
      const std::size_t before = answered_.value();
      LadenDial dial(server(), there(), dial_how({.timeout = 0ns}));
      ASSERT_TRUE(answered_.wait_for(before + 1));
      EXPECT_EQ(dial.conn().pending(), 1u);
      aborts ? dial.abort() : dial.close();
      const Error err = next_unreachable();
      EXPECT_EQ(err.code(), std::errc::operation_canceled);
      EXPECT_EQ(err.message(), "dial " + there() + ": Operation canceled");
      dial.expect_nothing_left();
    }
  }
  expect_that_all_have_failed(0);
}

// However long the shutdown may take.
TEST_P(DialHandshakeTest, AShutdownWithinIt) {
  Events handlers = this->handlers();
  handlers.drain_timeout = 10 * kPatience;
  serve_with_peer(handlers);
  for (const std::size_t stop : stops()) {
    says_ = stop;
    const std::size_t before = answered_.value();
    const Conn conn = server().dial(there(), dial_how({.timeout = 0ns}));
    EXPECT_TRUE(conn.send("x"));
    ASSERT_TRUE(answered_.wait_for(before + 1));
    server_->shutdown();
    EXPECT_FALSE(server_->wait());
    const Error err = next_unreachable();
    EXPECT_EQ(err.code(), std::errc::operation_canceled) << err.message();
    EXPECT_FALSE(conn.send("x"));
    EXPECT_EQ(server().stats().unreachable, stop == 0 ? 2u : 1u);
    EXPECT_EQ(server().stats().connections, 0u);
    serve(handlers);
  }
}

// A drain waits for it, as for any connection.
TEST_P(DialHandshakeTest, CountsForADrain) {
  serve_with_peer();
  const std::size_t before = answered_.value();
  const Conn conn = server().dial(there(), dial_how({.timeout = 0ns}));
  ASSERT_TRUE(answered_.wait_for(before + 1));
  server().drain(1h);
  EXPECT_TRUE(server().draining());
  EXPECT_TRUE(all_sleep());
  EXPECT_FALSE(server_->returned());
  EXPECT_TRUE(conn.close());
  EXPECT_FALSE(server_->wait());
  EXPECT_EQ(next_unreachable().code(), std::errc::operation_canceled);
}

}  // namespace
}  // namespace evio::test
