// Guarantee 16: an answer comes from the address the datagram went to, which is local_addr().
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>

#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/datagram_fixture.hpp"
#include "tests/support/process.hpp"

namespace evio::test {
namespace {

// Answers with what the connection says of itself.
Action tell_addresses(Conn& conn, const Bytes&, Output& out) {
  out = conn.local_addr().network() + " " + conn.local_addr().to_string() + " " + conn.remote_addr().network() + " " +
        conn.remote_addr().to_string() + " #" + std::to_string(conn.addr_index());
  return Action::None;
}

std::string expected_of(DatagramClient& client, const std::string& local_ip, int index = 0) {
  const std::string own = local_ip.find(':') == std::string::npos ? local_ip : "[" + local_ip + "]";
  return "udp " + client.peer_name() + " udp " + own + ":" + std::to_string(client.port()) + " #" +
         std::to_string(index);
}

void expect_told(DatagramClient client, const std::string& from, int index = 0) {
  client.send("who?");
  const Packet answer = client.receive();
  EXPECT_EQ(answer.from, client.peer_name());
  EXPECT_EQ(answer.text, expected_of(client, from, index));
}

class UdpAddressTest : public DatagramTest {};
EVIO_INSTANTIATE_DATAGRAMS(UdpAddressTest, all_datagram_modes());

TEST_P(UdpAddressTest, AnswersComeFromTheAddressTheDatagramWentTo) {
  Events handlers = events();
  handlers.data = tell_addresses;
  TestServer server(handlers, address());
  const int port = server.addr().port();
  EXPECT_EQ(server.addr().network(), "udp");
  if (mode().is_v6()) {
    expect_told({"::1", port}, "::1");
  } else {
    expect_told({"127.0.0.1", port, "127.0.0.1"}, "127.0.0.1");
    expect_told({"127.0.0.2", port, "127.0.0.1"}, "127.0.0.1");
    expect_told({"127.3.2.1", port, "127.0.0.9"}, "127.0.0.9");
  }
}

TEST_P(UdpAddressTest, SendAnswersFromThereToo) {
  std::vector<Conn> kept;
  std::mutex mutex;
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes& in, Output&) {
    {
      const std::lock_guard lock(mutex);
      kept.push_back(conn);
    }
    EXPECT_TRUE(conn.send(in));
    return Action::None;
  };
  TestServer server(handlers, address());
  const std::string other = mode().is_v6() ? "::1" : "127.0.0.2";
  DatagramClient first = connect(server);
  DatagramClient second(other, server.addr().port());
  for (DatagramClient* client : {&first, &second}) {
    client->send("hello");
    EXPECT_EQ(client->receive().from, client->peer_name());
  }
  const std::lock_guard lock(mutex);
  for (const Conn& conn : kept) EXPECT_TRUE(conn.send("later"));
  for (DatagramClient* client : {&first, &second}) {
    const Packet packet = client->receive();
    EXPECT_EQ(packet.text, "later");
    EXPECT_EQ(packet.from, client->peer_name());
  }
}

TEST_P(UdpAddressTest, ASocketOfOneAddressSaysThatAddress) {
  Events handlers = events();
  handlers.data = tell_addresses;
  TestServer server(handlers, address(mode().is_v6() ? "[::1]" : "127.0.0.2"));
  EXPECT_EQ(server.addr().ip(), mode().is_v6() ? "::1" : "127.0.0.2");
  expect_told({server.addr().ip(), server.addr().port(), mode().ip}, mode().ip);
}

class UdpFamiliesTest : public ServerTest {};

TEST_F(UdpFamiliesTest, OneSocketServesBoth) {
  for (const std::string scheme : {"udp", "udp-net"}) {
    Events handlers;
    handlers.data = tell_addresses;
    TestServer server(handlers, scheme + "://:0");
    EXPECT_EQ(descriptors_of("socket:").size(), 1u);
    const int port = server.addr().port();
    expect_told({"127.0.0.1", port}, "127.0.0.1");
    expect_told({"127.0.0.2", port, "127.0.0.1"}, "127.0.0.1");
    expect_told({"::1", port}, "::1");
    DatagramClient mapped("::ffff:127.0.0.1", port, "::");
    mapped.send("who?");
    const Packet answer = mapped.receive();
    EXPECT_EQ(answer.from, mapped.peer_name());
    EXPECT_EQ(answer.text,
              "udp 127.0.0.1:" + std::to_string(port) + " udp 127.0.0.1:" + std::to_string(mapped.port()) + " #0");
  }
}

// Whether the name has an address of this family here: many an /etc/hosts gives localhost but one.
bool resolves_to(const char* name, int family) {
  addrinfo hints{};
  hints.ai_family = family;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(name, nullptr, &hints, &found) != 0) return false;
  ::freeaddrinfo(found);
  return true;
}

TEST_F(UdpFamiliesTest, ANameHasBothWhereItResolvesToBoth) {
  Events handlers;
  handlers.num_loops = 2;
  handlers.data = tell_addresses;
  TestServer server(handlers, "udp://localhost:0");
  ASSERT_EQ(server.handle().addrs().size(), 1u);
  expect_told({"127.0.0.1", server.addr().port(), "127.0.0.1"}, "127.0.0.1");
  if (resolves_to("localhost", AF_INET6)) expect_told({"::1", server.addr().port()}, "::1");
}

TEST_F(UdpFamiliesTest, AFourOrSixServesOnlyThat) {
  Events handlers;
  handlers.data = tell_addresses;
  TestServer server(handlers, std::vector<std::string>{"udp4://:0", "udp6://:0"});
  DatagramClient v6_to_v4("::1", server.addr(0).port());
  v6_to_v4.try_send("who?");
  EXPECT_TRUE(v6_to_v4.is_quiet());
  DatagramClient v4_to_v6("127.0.0.1", server.addr(1).port());
  v4_to_v6.try_send("who?");
  EXPECT_TRUE(v4_to_v6.is_quiet());
  expect_told({"127.0.0.1", server.addr(0).port()}, "127.0.0.1", 0);
  expect_told({"::1", server.addr(1).port()}, "::1", 1);
}

// No one can answer from a broadcast address; the answer comes from the interface's own.
TEST_F(UdpFamiliesTest, ABroadcastIsAnswered) {
  for (const std::string scheme : {"udp4", "udp"}) {
    Events handlers;
    handlers.data = tell_addresses;
    TestServer server(handlers, scheme + "://:0");
    DatagramClient client("127.255.255.255", server.addr().port(), "127.0.0.1");
    client.send("who?");
    const Packet answer = client.receive();
    EXPECT_EQ(answer.from, "127.0.0.1:" + std::to_string(server.addr().port())) << scheme;
    EXPECT_EQ(answer.text, expected_of(client, "127.0.0.1")) << scheme;
  }
}

}  // namespace
}  // namespace evio::test
