// Guarantee 24, ?proxy=: the header that a proxy puts before a connection says who the peer is, or there is none.
#include <arpa/inet.h>

#include <chrono>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

using namespace std::string_literals;

const std::string kV2Signature = "\r\n\r\n\0\r\nQUIT\n"s;

// What follows the header of version 2: of IPv4, from 192.0.2.1:1000 to 192.0.2.9:443.
std::string v2_header(char command, char family, const std::string& rest) {
  const auto size = static_cast<std::uint16_t>(rest.size());
  return kV2Signature + command + family + static_cast<char>(size >> 8) + static_cast<char>(size & 0xff) + rest;
}
const std::string kV4Addresses = "\xc0\x00\x02\x01\xc0\x00\x02\x09\x03\xe8\x01\xbb"s;

class ProxyHeaderTest : public ModeTest {
 protected:
  std::string proxied(const std::string& versions = "any") { return address() + "?proxy=" + versions; }
  Events handlers() {
    Events handlers = events();
    handlers.opened = [this](Conn& conn, Output& out, Options&) {
      out = conn.local_addr().to_string() + "<-" + conn.remote_addr().to_string() + '\n';
      log_.add("opened");
      return Action::None;
    };
    handlers.data = echo;
    handlers.closed = [this](Conn&, const Error&) {
      log_.add("closed");
      return Action::None;
    };
    handlers.notice = [this](Notice what, const Error& err) {
      const std::lock_guard lock(mutex_);
      if (what == Notice::HandshakeFailed) log_.add("handshake failed");
      if (what == Notice::Rejected) log_.add("rejected");
      error_ = err;
    };
    return handlers;
  }
  // The client's connection has ended, by a reset where there is one, and no callback was called for it.
  void expect_refused(const TestServer& server, Client& client, std::uint64_t failures = 1) {
    EXPECT_EQ(client.receive_all(), "");
    if (mode().is_tcp()) {
      EXPECT_EQ(client.error(), std::errc::connection_reset);
    }
    EXPECT_EQ(server.handle().stats().handshakes_failed, failures);
    EXPECT_EQ(server.handle().stats().accepted, 0u);
    EXPECT_EQ(server.handle().stats().closed, 0u);
    EXPECT_EQ(log_.count("opened"), log_.count("closed"));
  }
  Error last_notice() {
    const std::lock_guard lock(mutex_);
    return error_;
  }

  EventLog log_;
  std::mutex mutex_;
  Error error_;
};
EVIO_INSTANTIATE(ProxyHeaderTest, all_modes());

// Unix sockets have no address to choose by.
class ProxyHeaderSourceTest : public ProxyHeaderTest {};
EVIO_INSTANTIATE(ProxyHeaderSourceTest, modes_of(Network::kTcp));

TEST_P(ProxyHeaderTest, NamesBothEndsAndWhatFollowsIsInput) {
  const std::pair<std::string, std::string> cases[] = {
      {"PROXY TCP4 192.0.2.1 192.0.2.9 1000 443\r\n", "192.0.2.9:443<-192.0.2.1:1000\n"},
      {"PROXY TCP6 2001:db8::1 2001:db8::9 1000 443\r\n", "[2001:db8::9]:443<-[2001:db8::1]:1000\n"},
      {v2_header('\x21', '\x11', kV4Addresses), "192.0.2.9:443<-192.0.2.1:1000\n"},
      {v2_header('\x21', '\x11', kV4Addresses + "\x04\x00\x03xyz"s), "192.0.2.9:443<-192.0.2.1:1000\n"},
  };
  TestServer server(handlers(), proxied());
  for (const auto& [header, ends] : cases) {
    Client client = server.connect();
    ASSERT_TRUE(client.send_all(header + "hello"));
    EXPECT_EQ(client.receive(ends.size() + 5), ends + "hello");
    ASSERT_TRUE(client.send_all("more"));
    EXPECT_EQ(client.receive(4), "more");
  }
  EXPECT_EQ(server.handle().stats().accepted, std::size(cases));
  EXPECT_EQ(server.handle().stats().handshakes_failed, 0u);
}

TEST_P(ProxyHeaderTest, MayComeInAnyPieces) {
  TestServer server(handlers(), proxied());
  for (const std::string& header :
       {"PROXY TCP4 192.0.2.1 192.0.2.9 1000 443\r\n"s, v2_header('\x21', '\x11', kV4Addresses)}) {
    Client client = server.connect();
    for (const char byte : header) {
      ASSERT_TRUE(client.send_all({&byte, 1}));
      client.wait_for_arrival();
    }
    EXPECT_EQ(client.receive(30), "192.0.2.9:443<-192.0.2.1:1000\n");
  }
}

// A proxy that checks whether the server lives speaks for itself.
TEST_P(ProxyHeaderTest, WithoutAddressesTheSocketsCount) {
  TestServer server(handlers(), proxied());
  for (const std::string& header :
       {"PROXY UNKNOWN\r\n"s, v2_header('\x20', '\x00', ""), v2_header('\x21', '\x00', ""),
        v2_header('\x21', '\x12', kV4Addresses), v2_header('\x21', '\x31', std::string(216, 'p'))}) {
    Client client = server.connect();
    ASSERT_TRUE(client.send_all(header));
    const std::string ends = server.addr().to_string() + "<-" + client.local_name() + '\n';
    EXPECT_EQ(client.receive(ends.size()), ends);
  }
}

TEST_P(ProxyHeaderTest, TheOtherVersionIsBad) {
  const std::string v1 = "PROXY UNKNOWN\r\n";
  const std::string v2 = v2_header('\x20', '\x00', "");
  for (const bool first : {true, false}) {
    TestServer server(handlers(), proxied(first ? "v1" : "v2"));
    Client wrong = server.connect();
    ASSERT_TRUE(wrong.send_all(first ? v2 : v1));
    expect_refused(server, wrong);
    Client right = server.connect();
    ASSERT_TRUE(right.send_all((first ? v1 : v2) + "x"));
    EXPECT_FALSE(right.receive(1).empty());
    right.close();
    ASSERT_TRUE(log_.wait_for("closed", first ? 1 : 2));
  }
}

TEST_P(ProxyHeaderTest, ABadOneIsResetAndTold) {
  TestServer server(handlers(), proxied());
  Client client = server.connect();
  ASSERT_TRUE(client.send_all("GET / HTTP/1.1\r\n\r\n"));
  expect_refused(server, client);
  ASSERT_TRUE(log_.wait_for("handshake failed"));
  const Stats stats = server.handle().stats();
  EXPECT_EQ(stats.handshakes_failed, 1u);
  EXPECT_EQ(stats.aborted, 1u);
  EXPECT_EQ(last_notice().code(), std::errc::protocol_error);
  EXPECT_NE(last_notice().message().find("bad PROXY header"), std::string::npos) << last_notice().message();
}

TEST_P(ProxyHeaderTest, APeerThatEndsWithinItIsRefused) {
  TestServer server(handlers(), proxied());
  Client client = server.connect();
  ASSERT_TRUE(client.send_all("PROXY TCP4 192.0.2.1"));
  client.shutdown_write();
  EXPECT_EQ(client.receive_all(), "");
  ASSERT_TRUE(log_.wait_for("handshake failed"));
  EXPECT_EQ(server.handle().stats().handshakes_failed, 1u);
  EXPECT_EQ(log_.count("opened"), 0u);
}

// It never ends, and comes byte by byte.
TEST_P(ProxyHeaderTest, TricklingDoesNotExtendItsTime) {
  Events events = handlers();
  events.handshake_timeout = std::chrono::milliseconds(50);
  TestServer server(events, proxied());
  Client client = server.connect();
  const std::string header = v2_header('\x21', '\x11', kV4Addresses + "\x04\x0f\x00"s + std::string(3840, 'x'));
  std::size_t sent = 0;
  while (sent != header.size() - 1 && log_.count("handshake failed") == 0 && client.send_all({&header[sent], 1})) {
    ++sent;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // each comes in time; all of them do not
  }
  EXPECT_LT(sent, header.size() - 1);
  ASSERT_TRUE(log_.wait_for("handshake failed"));
  EXPECT_EQ(last_notice().code(), std::errc::timed_out);
  client.receive_all();
  EXPECT_EQ(log_.count("opened"), 0u);
}

TEST_P(ProxyHeaderTest, WithoutATimeoutItIsWaitedFor) {
  Events events = handlers();
  events.handshake_timeout = std::chrono::nanoseconds(0);
  TestServer server(events, proxied());
  Client client = server.connect();
  EXPECT_TRUE(client.is_quiet());
  ASSERT_TRUE(client.send_all("PROXY UNKNOWN\r\n"));
  EXPECT_TRUE(client.has_input());
}

// It counts from accept on, and a shutdown does not wait for it.
TEST_P(ProxyHeaderTest, OneThatWaitsTakesAPlaceAndEndsWithTheServer) {
  Events events = handlers();
  events.max_connections = 1;
  TestServer server(events, proxied());
  Client silent = server.connect();
  ASSERT_TRUE(silent.send_all("PROXY "));
  EXPECT_TRUE(eventually([&] { return server.handle().stats().connections == 1; }));
  EXPECT_EQ(server.handle().stats().accepted, 0u);
  Client other = server.connect();
  ASSERT_TRUE(other.send_all("PROXY UNKNOWN\r\n"));
  EXPECT_TRUE(other.is_quiet());
  silent.close();
  EXPECT_TRUE(other.has_input());
  Client last = server.connect();
  ASSERT_TRUE(last.send_all("PROXY "));
  other.close();
  server.shutdown();
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(last.receive_all(), "");
  EXPECT_EQ(server.handle().stats().connections, 0u);
  EXPECT_EQ(log_.count("opened"), 1u);
  EXPECT_EQ(log_.count("closed"), 1u);
}

TEST_P(ProxyHeaderTest, ADrainWaitsForOneThatWaits) {
  TestServer server(handlers(), proxied());
  Client client = server.connect();
  ASSERT_TRUE(client.send_all("PROXY "));
  EXPECT_TRUE(eventually([&] { return server.handle().stats().connections == 1; }));
  server.handle().drain(std::chrono::hours(1));
  EXPECT_TRUE(client.is_quiet());
  ASSERT_TRUE(client.send_all("UNKNOWN\r\n"));
  EXPECT_TRUE(client.has_input());
  client.close();
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(log_.count("closed"), 1u);
}

TEST_P(ProxyHeaderTest, AcceptingIsAskedBeforeItWithTheSocketsAddress) {
  Events events = handlers();
  std::mutex mutex;
  std::set<std::string> asked;
  events.accepting = [&](int, const Addr& remote) {
    const std::lock_guard lock(mutex);
    asked.insert(remote.to_string());
    return true;
  };
  TestServer server(events, proxied());
  Client client = server.connect();
  ASSERT_TRUE(client.send_all("PROXY TCP4 192.0.2.1 192.0.2.9 1000 443\r\n"));
  EXPECT_EQ(client.receive(30), "192.0.2.9:443<-192.0.2.1:1000\n");
  const std::lock_guard lock(mutex);
  EXPECT_EQ(asked, std::set<std::string>{client.local_name()});
}

TEST_P(ProxyHeaderTest, MaxPerIpCountsItsAddress) {
  Events events = handlers();
  events.max_per_ip = 1;
  TestServer server(events, proxied());
  const std::string first = "PROXY TCP4 192.0.2.1 192.0.2.9 1000 443\r\n";
  Client one = server.connect();
  ASSERT_TRUE(one.send_all(first));
  EXPECT_TRUE(one.has_input());
  Client another = server.connect();  // from the same socket address, but another peer
  ASSERT_TRUE(another.send_all("PROXY TCP4 192.0.2.2 192.0.2.9 1000 443\r\n"));
  EXPECT_TRUE(another.has_input());
  Client second = server.connect();
  ASSERT_TRUE(second.send_all(first));
  EXPECT_EQ(second.receive_all(), "");
  EXPECT_EQ(server.handle().stats().rejected, 1u);
  EXPECT_EQ(server.handle().stats().handshakes_failed, 0u);
  ASSERT_TRUE(log_.wait_for("rejected"));
  EXPECT_NE(last_notice().message().find("192.0.2.1:1000: "), std::string::npos) << last_notice().message();
  one.close();
  ASSERT_TRUE(log_.wait_for("closed"));
  EXPECT_TRUE(eventually([&] {
    Client again = server.connect();
    return again.send_all(first) && again.has_input();
  }));
}

TEST_P(ProxyHeaderSourceTest, LoopsAreChosenBeforeItByTheSocketsAddress) {
  Events events = handlers();
  std::mutex mutex;
  std::set<int> chosen;
  events.load_balance = LoadBalance::SourceAddrHash;
  events.opened = [&](Conn& conn, Output& out, Options&) {
    const std::lock_guard lock(mutex);
    chosen.insert(conn.loop_index());
    out = "x";
    return Action::None;
  };
  TestServer server(events, proxied());
  for (int i = 1; i != 20; ++i) {
    Client client = server.connect();
    ASSERT_TRUE(client.send_all("PROXY TCP4 192.0.2." + std::to_string(i) + " 192.0.2.9 1000 443\r\n"));
    ASSERT_EQ(client.receive(1), "x");
  }
  const std::lock_guard lock(mutex);
  EXPECT_EQ(chosen.size(), 1u);
}

TEST_P(ProxyHeaderTest, BadOptionsAreErrors) {
  for (const std::string& addr :
       {address() + "?proxy=v3"s, address() + "?proxy", address() + "?proxy="s, "udp://127.0.0.1:0?proxy=any"s}) {
    const Error err = evio::serve(events(), addr);
    EXPECT_EQ(err.code(), std::errc::invalid_argument) << addr;
    EXPECT_NE(err.message().find("proxy"), std::string::npos) << err.message();
  }
}

}  // namespace
}  // namespace evio::test
