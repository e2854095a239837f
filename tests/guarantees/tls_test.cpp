// Guarantee 28: TLS connections, as a server sees them and dials them. That the other guarantees hold for them is shown
// by the modes of their tests; what OpenSSL does by unit/tls.
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "evio/tls.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/dial_fixture.hpp"
#include "tests/support/tls_wire.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

class TlsTest : public DialTest {
 protected:
  Events tls_events() {
    Events handlers = DialTest::handlers();
    handlers.notice = [this](Notice what, const Error& err) {
      if (what != Notice::HandshakeFailed) return;
      const std::lock_guard lock(mutex_);
      notices_.push_back(err);
      log_.add("handshake failed");
    };
    return handlers;
  }
  Error first_notice() {
    EXPECT_TRUE(log_.wait_for("handshake failed"));
    const std::lock_guard lock(mutex_);
    return notices_.empty() ? Error() : notices_.front();
  }

  // Of the dial that could not be opened next.
  Error next_unreachable() {
    if (!log_.wait_for("unreachable", ++unreachable_)) return {};
    const std::lock_guard lock(mutex_);
    return errors_.at(unreachable_ - 1);
  }

  // Keeps what the one connection ends with, and waits for it.
  void keep_end(Events& handlers) {
    handlers.closed = [this](Conn&, const Error& err) {
      end_ = err;
      ended_.open();
      return Action::None;
    };
  }
  Error end() {
    EXPECT_TRUE(ended_.wait());
    return end_;
  }

  std::vector<Error> notices_;
  std::size_t unreachable_ = 0;
  Gate ended_;
  Error end_;
};
EVIO_INSTANTIATE(TlsTest, (std::vector<Mode>{{Network::kTls, 1, PollerKind::kPortable},
                                             {Network::kTls, 4, PollerKind::kEpoll}}));

// They count the turns of one loop.
class TlsTurnTest : public TlsTest {
 protected:
  // Returns when the loop waits for the gate in a callback.
  void hold_loop(Gate& go_on) {
    ASSERT_TRUE(server().post(0, [&] {
      entered_.open();
      EXPECT_TRUE(go_on.wait());
      return Action::None;
    }));
    ASSERT_TRUE(entered_.wait());
  }

 private:
  Gate entered_;
};
EVIO_INSTANTIATE(TlsTurnTest, (std::vector<Mode>{{Network::kTls, 1, PollerKind::kPortable},
                                                 {Network::kTls, 1, PollerKind::kEpoll}}));

TEST_P(TlsTest, WhatWasAgreedOnIsKnownFromOpenedToClosed) {
  Events handlers = tls_events();
  std::mutex mutex;
  std::map<bool, TlsInfo> infos;  // of the dialed side, and of the other
  Counter closed;
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    const std::lock_guard lock(mutex);
    EXPECT_NE(conn.tls(), nullptr);
    if (conn.tls() != nullptr) infos[conn.dialed()] = *conn.tls();
    if (conn.dialed()) log_.add("opened");
    return Action::None;
  };
  handlers.closed = [&](Conn& conn, const Error& err) {
    EXPECT_NE(conn.tls(), nullptr);
    EXPECT_FALSE(err) << err.message();
    closed.add();
    return Action::None;
  };
  serve(handlers);
  Dial how = dial_how();
  how.server_name = "LocalHost";
  const Conn conn = server().dial(own_address(), how);
  EXPECT_TRUE(conn.send("hello"));
  EXPECT_EQ(heard(5), "hello");
  EXPECT_EQ(conn.tls(), nullptr);  // not in a callback
  EXPECT_TRUE(conn.close());
  ASSERT_TRUE(closed.wait_for(2));
  const std::lock_guard lock(mutex);
  EXPECT_EQ(infos[true].version, "TLSv1.3");
  EXPECT_EQ(infos[true].peer_subject, "CN=localhost");
  EXPECT_EQ(infos[true].peer_names.size(), 3u);
  EXPECT_EQ(infos[false].server_name, "localhost");
  EXPECT_EQ(infos[false].cipher, infos[true].cipher);
  EXPECT_TRUE(infos[false].peer_subject.empty());
  EXPECT_EQ(server().stats().handshakes, 2u);
  EXPECT_EQ(server().stats().handshakes_failed, 0u);
}

TEST_P(TlsTest, TheContextIsChosenByAddressAndName) {
  Events handlers = tls_events();
  std::mutex mutex;
  std::set<std::pair<int, std::string>> asked;
  handlers.tls = [&](int addr_index, std::string_view name) {
    const std::lock_guard lock(mutex);
    asked.emplace(addr_index, name);
    return name == "nobody" ? TlsContext() : test_tls_context();
  };
  server_ = std::make_unique<TestServer>(handlers, std::vector{address(), address()});
  const auto dial_to = [&](std::size_t i, std::string name) {
    Dial how = dial_how();
    how.server_name = std::move(name);
    server().dial(dial_address(server_->addr(i)), how);
  };
  dial_to(0, "");  // an IP address is not asked for
  dial_to(1, "LOCALHOST");
  ASSERT_TRUE(log_.wait_for("opened", 2));
  dial_to(0, "nobody");
  const Error err = next_unreachable();
  EXPECT_EQ(err.code(), std::errc::protocol_error);
  EXPECT_NE(err.message().find("unrecognized name"), std::string::npos) << err.message();
  EXPECT_NE(first_notice().message().find("nobody"), std::string::npos);
  const std::lock_guard lock(mutex);
  EXPECT_EQ(asked, (std::set<std::pair<int, std::string>>{{0, ""}, {1, "localhost"}, {0, "nobody"}}));
}

// It is what a connection calls first.
TEST_P(TlsTest, ASlowChoiceIsToldWithTheName) {
  Events handlers = tls_events();
  handlers.slow_callback = 1ns;
  Gate told;
  std::string message;
  handlers.notice = [&](Notice what, const Error& err) {
    const std::lock_guard lock(mutex_);
    if (what != Notice::SlowCallback || !message.empty()) return;
    message = err.message();
    told.open();
  };
  serve(handlers);
  Dial how = dial_how();
  how.server_name = "localhost";
  const Conn conn = server().dial(own_address(), how);
  EXPECT_TRUE(told.wait());
  server_.reset();
  EXPECT_TRUE(message.starts_with("tls \"localhost\": took ")) << message;
}

TEST_P(TlsTest, AnAddressWithoutTlsIsAnError) {
  Events handlers = events();
  handlers.tls = nullptr;
  const Error err = evio::serve(handlers, address());
  EXPECT_EQ(err.code(), std::errc::invalid_argument);
  EXPECT_NE(err.message().find("Events::tls"), std::string::npos) << err.message();
}

TEST_P(TlsTest, GarbageIsRefusedAndTold) {
  serve(tls_events());
  Client::speak_tls(false);
  Client client(server_->addr());
  ASSERT_TRUE(client.send_all("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(client.receive_all().size(), 7u);  // an alert
  EXPECT_TRUE(client.at_end());
  EXPECT_EQ(first_notice().code(), std::errc::protocol_error);
  EXPECT_EQ(server().stats().handshakes_failed, 1u);
  EXPECT_EQ(server().stats().accepted, 0u);
  EXPECT_EQ(server().stats().bytes_read, 0u);  // what is discarded, too
}

// In records of one byte, which takes long to look through.
TEST_P(TlsTest, AHelloThatDoesNotEndIsRefused) {
  serve(tls_events());
  Client::speak_tls(false);
  Client client(server_->addr());
  const std::string head = std::string("\x16\x03\x01\0\x04\x01\0\xff\xff", 9);
  client.send_all(head + repeated(std::string("\x16\x03\x01\0\x01\0", 6), 200'000));
  client.receive_all();
  EXPECT_EQ(first_notice().code(), std::errc::protocol_error);
  EXPECT_NE(first_notice().message().find("hello is too long"), std::string::npos) << first_notice().message();
  EXPECT_EQ(server().stats().bytes_read, 0u);
}

TEST_P(TlsTest, APeerThatSaysNothingIsResetInTime) {
  Events handlers = tls_events();
  handlers.handshake_timeout = std::chrono::milliseconds(50);
  serve(handlers);
  Client::speak_tls(false);
  Client client(server_->addr());
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_EQ(client.error(), std::errc::connection_reset);
  EXPECT_EQ(first_notice().code(), std::errc::timed_out);
  Client::speak_tls(true);
  EXPECT_TRUE(eventually([&] {  // not at once where the machine is too busy for a handshake in that time
    Client::Tuning tuning;
    tuning.may_be_refused = true;
    Client next(server_->addr(), tuning);
    return next.send_all("x") && next.receive(1) == "x";
  }));
}

TEST_P(TlsTest, AHandshakeTakesAPlace) {
  Events handlers = tls_events();
  handlers.max_connections = 1;
  handlers.handshake_timeout = std::chrono::nanoseconds(0);
  serve(handlers);
  Client::speak_tls(false);
  Client silent(server_->addr());
  EXPECT_TRUE(eventually([&] { return server().stats().connections == 1; }));
  Client next(server_->addr());
  ASSERT_TRUE(next.send_all("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_TRUE(next.is_quiet());
  silent.close();
  EXPECT_EQ(next.receive_all().size(), 7u);  // an alert
}

TEST_P(TlsTest, TheFamilyCanBeNamed) {
  server_ =
      std::make_unique<TestServer>(tls_events(), std::vector<std::string>{"tls4://127.0.0.1:0", "tls6://[::1]:0"});
  for (const std::size_t i : {0u, 1u}) {
    Dial how = dial_how();
    how.server_name = "localhost";
    const std::string scheme = i == 0 ? "tls4://" : "tls6://";
    const Conn conn = server().dial(scheme + server_->addr(i).to_string(), how);
    EXPECT_TRUE(conn.send("x"));
    EXPECT_EQ(heard(i + 1), std::string(i + 1, 'x'));
  }
}

// TLS 1.2 has no half that goes on (RFC 5246, 7.2.1). What is pending is sent all the same.
TEST_P(TlsTest, ThePeersCloseNotifyEndsAHalfOpenConnectionOfTls12) {
  const std::string much = pattern(8'000'000);
  const PemFolder folder;
  const Certificate own({.common_name = "localhost"});
  Error err;
  const TlsContext old = TlsContext::load(
      {.certificate = folder.write("own.pem", own.certificate_pem()), .key = folder.write("own.key", own.key_pem())},
      err);
  ASSERT_FALSE(err) << err.message();
  SSL_CTX_set_max_proto_version(static_cast<SSL_CTX*>(old.native()), TLS1_2_VERSION);
  Events handlers = tls_events();
  handlers.tls = [&](int, std::string_view) { return old; };
  handlers.opened = [](Conn&, Output&, Options& options) {
    options.half_open = true;
    options.read_while_pending = true;
    return Action::None;
  };
  handlers.data = [&](Conn& conn, const Bytes&, Output& out) {
    EXPECT_EQ(conn.tls()->version, "TLSv1.2");
    out = much;
    return Action::None;
  };
  handlers.ended = [&](Conn&, Output&) {
    ADD_FAILURE() << "it goes on";
    return Action::None;
  };
  keep_end(handlers);
  serve(handlers);
  Client client(server_->addr());
  ASSERT_TRUE(client.send_all("x"));
  client.shutdown_write();
  EXPECT_TRUE(client.receive_all() == much);
  EXPECT_FALSE(end()) << end_.message();
}

TEST_P(TlsTest, AnEndWithoutCloseNotifyIsAnError) {
  Events handlers = tls_events();
  std::string got;
  handlers.opened = [](Conn&, Output&, Options& options) {
    options.half_open = true;
    return Action::None;
  };
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    got += in.view();
    conn.send("sent ");
    out = "returned";
    return Action::None;
  };
  handlers.ended = [&](Conn&, Output&) {
    ADD_FAILURE() << "this is no end";
    return Action::None;
  };
  keep_end(handlers);
  serve(handlers);
  Client::speak_tls(false);
  Client client(server_->addr());
  const auto wire = TlsWire::connect(client.fd());
  ASSERT_NE(wire, nullptr);
  ASSERT_EQ(wire->send("hello", 5), 5);
  ::shutdown(client.fd(), SHUT_WR);
  std::string answer;
  ASSERT_TRUE(eventually([&] {
    char text[64];
    const auto n = wire->recv(text, sizeof text);
    if (n > 0) answer.append(text, static_cast<std::size_t>(n));
    return n == 0;
  }));
  EXPECT_EQ(answer, "sent returned");
  const Error error = end();
  EXPECT_EQ(got, "hello");
  EXPECT_EQ(error.code(), std::errc::protocol_error);
  EXPECT_NE(error.message().find("truncated"), std::string::npos) << error.message();
}

TEST_P(TlsTest, DetachIsAnError) {
  Events handlers = tls_events();
  handlers.data = [](Conn&, const Bytes&, Output& out) {
    out = "bye";
    return Action::Detach;
  };
  handlers.detached = [](Conn&, DetachedConn) {
    ADD_FAILURE() << "detached";
    return Action::None;
  };
  keep_end(handlers);
  serve(handlers);
  Client client(server_->addr());
  ASSERT_TRUE(client.send_all("x"));
  EXPECT_EQ(client.receive_all(), "bye");
  EXPECT_TRUE(client.at_end());
  EXPECT_EQ(end().code(), std::errc::operation_not_supported);
}

TEST_P(TlsTest, AnExceptionOfTlsShutsTheServerDown) {
  Events handlers = tls_events();
  handlers.tls = [](int, std::string_view) -> TlsContext { throw std::runtime_error("no such file"); };
  serve(handlers);
  server().dial(own_address(), dial_how());
  server_->wait();
  EXPECT_EQ(server_->thrown_message(), "no such file");
}

TEST_P(TlsTest, ADialThatCannotVerifyIsUnreachable) {
  serve(tls_events());
  Dial how = dial_how();
  how.server_name = "example.org";
  server().dial(own_address(), how);
  const Error wrong_name = next_unreachable();
  EXPECT_EQ(wrong_name.code(), std::errc::permission_denied) << wrong_name.message();
  EXPECT_EQ(wrong_name.message().find("dial " + own_address() + ": handshake: "), 0u) << wrong_name.message();
}

TEST_P(TlsTest, ADialWithoutAContextIsUnreachable) {
  serve(tls_events());
  server().dial(own_address());
  EXPECT_EQ(next_unreachable().code(), std::errc::invalid_argument);
}

TEST_P(TlsTest, ADialOfAPlainServerIsUnreachable) {
  Events plain = events();
  plain.data = echo;
  plain.opened = [](Conn&, Output& out, Options&) {
    out = "220 hello\r\n";
    return Action::None;
  };
  const TestServer other(plain, "tcp://127.0.0.1:0");
  serve(tls_events());
  server().dial(dial_address(other.addr()), dial_how());
  EXPECT_EQ(next_unreachable().code(), std::errc::protocol_error);
  EXPECT_EQ(server().stats().handshakes_failed, 1u);
  EXPECT_EQ(server().stats().unreachable, 1u);
}

TEST_P(TlsTest, ASessionIsResumed) {
  Events handlers = tls_events();
  std::atomic<int> asked{0};
  handlers.tls = [&](int, std::string_view) {
    ++asked;
    return test_tls_context();
  };
  serve(handlers);
  Dial how = dial_how();
  how.server_name = "localhost";
  for (std::size_t i = 1; i != 3; ++i) {
    const Conn conn = server().dial(own_address(), how);
    EXPECT_TRUE(conn.send("x"));  // its answer comes behind the tickets
    ASSERT_TRUE(heard_bytes_.wait_for(i));
    EXPECT_TRUE(conn.close());
    ASSERT_TRUE(log_.wait_for("closed", i));
  }
  EXPECT_EQ(server().stats().handshakes, 4u);
  EXPECT_EQ(asked, 2);
  EXPECT_GE(server().stats().handshakes_resumed, 2u);  // the first one, too, where another test has dialed that name
}

// All hellos are there when the loop goes on.
TEST_P(TlsTurnTest, ATurnTakesEightStepsOfHandshakes) {
  constexpr std::size_t kClients = 40;
  Events handlers = tls_events();
  std::map<std::uint64_t, int> asked;  // in which turn, how often; on the loop
  handlers.tls = [&](int, std::string_view) {
    ++asked[server().stats(0).turns];
    return test_tls_context();
  };
  Gate go_on;
  const OpensAtEnd last_resort(go_on);
  serve(handlers);
  hold_loop(go_on);
  std::vector<std::thread> clients;
  Counter connected;
  for (std::size_t i = 0; i != kClients; ++i) {
    clients.emplace_back([&] {
      Client::Tuning tuning;
      Client client(server_->addr(), tuning);
      EXPECT_TRUE(client.send_all("x"));
      EXPECT_EQ(client.receive(1), "x");
      connected.add();
    });
  }
  go_on.open();
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(connected.value(), kClients);
  for (const auto& [turn, times] : asked) EXPECT_LE(times, 8) << "turn " << turn;
}

// A wait reports 256 at most of those that are ready: between one eight and the next it comes to everybody. All hellos
// are there when the loop goes on.
TEST_P(TlsTurnTest, AFloodOfHandshakesLetsEverybodyHaveATurnInBetween) {
  constexpr std::size_t kClients = 900;
  std::vector<std::uint64_t> turns;  // of the steps; on the loop
  Events handlers = tls_events();
  handlers.handshake_timeout = kPatience;  // none of them is late
  handlers.tls = [&](int, std::string_view) {
    turns.push_back(server().stats(0).turns);
    return TlsContext();  // refused: that was its one step
  };
  Gate go_on;
  const OpensAtEnd last_resort(go_on);
  serve(handlers);
  hold_loop(go_on);
  Client::speak_tls(false);
  const std::string hello = std::string("\x16\x03\x01\0\x2d\x01\0\0\x29\x03\x03", 11) + std::string(32, 'r') +
                            std::string("\0\0\x02\x13\x01\x01\0", 7);
  std::vector<Client> clients;
  while (clients.size() != kClients) {
    clients.emplace_back(server_->addr());
    ASSERT_TRUE(clients.back().send_all(hello));
  }
  go_on.open();
  for (Client& client : clients) ASSERT_EQ(client.receive_all().size(), 7u) << "an alert";
  server_.reset();
  ASSERT_EQ(turns.size(), kClients);
  // All of them are accepted by then, and more than 512 are left.
  const std::uint64_t least = mode().poller == PollerKind::kEpoll ? 2 : 1;
  for (std::size_t i = 150; i != 300; ++i) {
    const bool next_eight = turns[i] != turns[i - 1];
    EXPECT_GE(turns[i] - turns[i - 1], next_eight ? least : 0) << "step " << i;
  }
}

// Though a record that has come in part brings no input.
TEST_P(TlsTest, AnyByteOfARecordKeepsAConnectionFromBeingIdle) {
  static constexpr auto kIdle = 500ms;
  Events handlers = tls_events();
  handlers.opened = [](Conn&, Output&, Options& opts) {
    opts.idle_timeout = kIdle;
    return Action::None;
  };
  handlers.timeout = [this](Conn&, Timeout, Output&) {
    log_.add("timeout");
    return Action::Close;
  };
  serve(handlers);
  Client::speak_tls(false);
  int refuted = 0;
  for (int tries = 0; tries != 5 && refuted != 2; ++tries) {
    Client client(server_->addr());
    ASSERT_NE(TlsWire::connect(client.fd()), nullptr);
    const std::size_t before = log_.count("timeout");
    const std::string record = std::string("\x17\x03\x03\x01\x00", 5) + std::string(100, 'r');  // 156 bytes are missing
    const auto began = std::chrono::steady_clock::now();
    auto last = began;
    std::chrono::nanoseconds longest{0};
    for (std::size_t i = 0; i != record.size() && last - began < 3 * kIdle; ++i) {
      if (!client.send_all({&record[i], 1})) break;
      const auto now = std::chrono::steady_clock::now();
      longest = std::max(longest, std::chrono::nanoseconds(now - last));
      last = now;
      std::this_thread::sleep_for(20ms);  // the trickle itself
    }
    const bool open = log_.count("timeout") == before;
    longest = std::max(longest, std::chrono::nanoseconds(std::chrono::steady_clock::now() - last));
    ASSERT_TRUE(log_.wait_for("timeout", before + 1));
    if (longest >= kIdle / 2) continue;  // the machine has kept this thread from sending
    if (open) {
      EXPECT_GE(last - began, 2 * kIdle);
      return;
    }
    ++refuted;  // or it has kept the loop from reading, which no two tries meet
  }
  EXPECT_LT(refuted, 2) << "closed while its bytes came";
}

TEST_P(TlsTest, AProxyHeaderComesFirst) {
  Events handlers = tls_events();
  std::mutex mutex;
  std::string remote;
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    const std::lock_guard lock(mutex);
    remote = conn.remote_addr().to_string();
    return Action::None;
  };
  server_ = std::make_unique<TestServer>(handlers, address() + "?proxy=v1");
  Client::speak_tls(false);
  Client client(server_->addr());
  ASSERT_TRUE(client.send_all("PROXY TCP4 192.0.2.1 192.0.2.9 1000 443\r\n"));
  const auto wire = TlsWire::connect(client.fd());
  ASSERT_NE(wire, nullptr);
  ASSERT_EQ(wire->send("hello", 5), 5);
  char text[8];
  ASSERT_TRUE(eventually([&] { return wire->recv(text, sizeof text) == 5; }));
  wire->end_output();
  const std::lock_guard lock(mutex);
  EXPECT_EQ(remote, "192.0.2.1:1000");
}

}  // namespace
}  // namespace evio::test
