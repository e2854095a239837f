// The addresses: what is listened on, what connections say of theirs, and the errors.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class AddressErrorTest : public ServerTest {
 protected:
  // serve must refuse these, name the culprit, call nothing and leave nothing (which the fixture looks for).
  void expect_refused(const std::vector<std::string>& addrs, const std::string& culprit) {
    EventLog log;
    Events handlers{.num_loops = 4};
    note_all(handlers, log);
    handlers.tick = [&](std::chrono::nanoseconds&) {
      log.add("tick");
      return Action::None;
    };
    TestServer server(handlers, addrs);
    EXPECT_FALSE(server.started()) << culprit;
    const Error& err = server.wait();
    EXPECT_TRUE(err) << culprit;
    EXPECT_TRUE(err.code());
    EXPECT_NE(err.message().find(culprit), std::string::npos) << '"' << err.message() << "\" does not name " << culprit;
    EXPECT_EQ(log.all(), EventLog::List{});
    EXPECT_EQ(server.thrown(), nullptr);
    EXPECT_EQ(baseline().new_descriptors(), (std::map<int, std::string>{}));
  }
};

TEST_F(AddressErrorTest, WhatCannotBeParsed) {
  for (const char* bad : {"",
                          "tulip://howdy",
                          "howdy",
                          "tcp://howdy",
                          "tcp5://:0",
                          "tcp-nets://:0",
                          "://:0",
                          "TCP://:0",
                          "tcp://127.0.0.1:-1",
                          "tcp://127.0.0.1:65536",
                          "tcp://127.0.0.1:99999999999999999999",
                          "tcp://127.0.0.1:http1",
                          "tcp://127.0.0.1:80 ",
                          "tcp://127.0.0.1:0x50",
                          "tcp://[::1",
                          "tcp://[::1]80",
                          "tcp://::1:80:",
                          "tcp://127.0.0.1:0?reuse=true",
                          "tcp://127.0.0.1:0?reuseport=true&x=1",
                          "udp://:65536",
                          "unix://"}) {
    expect_refused({bad}, bad);
  }
}

TEST_F(AddressErrorTest, WhatCannotBeResolvedOrBound) {
  for (const char* bad : {"tcp://no-such-host.invalid:0", "tcp4://[::1]:0", "tcp6://127.0.0.1:0", "tcp://192.0.2.1:0",
                          "udp://192.0.2.1:0", "tcp-net://no-such-host.invalid:0"}) {
    expect_refused({bad}, bad);
  }
}

TEST_F(AddressErrorTest, ReuseportIsNotForUnix) {
  const std::string address = "unix://" + path("s") + "?reuseport=true";
  expect_refused({address}, address);
}

TEST_F(AddressErrorTest, APortInUse) {
  TestServer first(Events{}, "tcp://127.0.0.1:0");
  const std::string taken = "tcp://127.0.0.1:" + std::to_string(first.addr().port());
  const Baseline with_first;
  TestServer second({.num_loops = 4}, taken);
  EXPECT_FALSE(second.started());
  EXPECT_EQ(second.wait().code(), std::errc::address_in_use);
  EXPECT_NE(second.wait().message().find(taken), std::string::npos) << second.wait().message();
  TestServer reusing({.num_loops = 4}, taken + "?reuseport=true");
  EXPECT_FALSE(reusing.started());
  EXPECT_EQ(reusing.wait().code(), std::errc::address_in_use);
  EXPECT_EQ(with_first.difference(), "");
}

TEST_F(AddressErrorTest, NoAddressAtAll) {
  EXPECT_TRUE(serve(Events{}));
  EXPECT_TRUE(serve(Events{}, std::vector<std::string>{}));
  EXPECT_NE(serve(Events{}).message(), "");
}

TEST_F(AddressErrorTest, AFailureLeavesNoEarlierAddressOpen) {
  const std::string bad = "tcp://192.0.2.1:0";
  expect_refused(
      {"tcp://127.0.0.1:0", "tcp://127.0.0.1:0?reuseport=true", "udp://127.0.0.1:0", "unix://" + path("s"), bad}, bad);
  expect_refused({"tcp-net://127.0.0.1:0", "unix://" + path("s"), "tulip://x"}, "tulip://x");
  EXPECT_EQ(entries_of(path("")), std::set<std::string>{});
}

class AddressTest : public ServerTest {
 protected:
  static constexpr std::array<const char*, 2> kPollers{"", "-net"};
  // What a connection made to `addr` says of itself.
  struct Seen {
    Addr local;
    Addr remote;
    int index = -1;
    std::string name_of_client;
  };
  static Seen connect_and_look(const std::string& address, const std::string& ip, bool may_be_refused = false) {
    Seen seen;
    Gate opened;
    Events handlers;
    handlers.opened = [&](Conn& conn, Output&, Options&) {
      seen.local = conn.local_addr();
      seen.remote = conn.remote_addr();
      seen.index = conn.addr_index();
      opened.open();
      return Action::None;
    };
    TestServer server(handlers, address);
    const UniqueFd socket(connect_to(ip, server.addr().port()));
    if (!socket.valid()) {
      EXPECT_TRUE(may_be_refused) << address << " at " << ip;
      return seen;
    }
    EXPECT_TRUE(opened.wait());
    const Client client{UniqueFd(::dup(socket.get()))};
    seen.name_of_client = client.local_name();
    return seen;
  }

 private:
  static int connect_to(const std::string& ip, int port);
};

int AddressTest::connect_to(const std::string& ip, int port) {
  const bool v6 = ip.find(':') != std::string::npos;
  const int fd = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int result = 0;
  if (v6) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET6, ip.c_str(), &address.sin6_addr);
    result = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  } else {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET, ip.c_str(), &address.sin_addr);
    result = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  }
  if (result == 0) return fd;
  ::close(fd);
  return -1;
}

TEST_F(AddressTest, TcpServesBothFamilies) {
  for (const char* poller : kPollers) {
    for (const std::string host : {"", "[::]", "*"}) {
      const std::string address = std::string("tcp") + poller + "://" + host + ":0";
      const Seen v4 = connect_and_look(address, "127.0.0.1");
      EXPECT_EQ(v4.local.ip(), "127.0.0.1");
      EXPECT_GT(v4.local.port(), 0);
      EXPECT_EQ(v4.local.to_string(), "127.0.0.1:" + std::to_string(v4.local.port()));
      EXPECT_EQ(v4.remote.to_string(), v4.name_of_client);
      EXPECT_EQ(v4.remote.network(), "tcp");
      const Seen v6 = connect_and_look(address, "::1");
      EXPECT_EQ(v6.local.to_string(), "[::1]:" + std::to_string(v6.local.port()));
      EXPECT_EQ(v6.remote.to_string(), v6.name_of_client);
      EXPECT_EQ(connect_and_look(address, "127.0.0.2").local.ip(), "127.0.0.2");
    }
  }
}

TEST_F(AddressTest, A4Or6ServesThatFamilyAlone) {
  EXPECT_EQ(connect_and_look("tcp4://:0", "127.0.0.1").local.ip(), "127.0.0.1");
  EXPECT_EQ(connect_and_look("tcp4://:0", "::1", true).index, -1);
  EXPECT_EQ(connect_and_look("tcp6://:0", "::1").local.ip(), "::1");
  EXPECT_EQ(connect_and_look("tcp6://:0", "127.0.0.1", true).index, -1);
}

TEST_F(AddressTest, AStarIsEveryAddress) {
  for (const char* poller : kPollers) {
    for (const std::string scheme : {"tcp", "tcp4", "tcp6", "udp", "udp4", "udp6"}) {
      TestServer server(Events{}, scheme + poller + "://*:0");
      ASSERT_TRUE(server.started()) << scheme << ": " << server.wait().message();
      EXPECT_EQ(server.addr().ip(), scheme.ends_with('4') ? "0.0.0.0" : "::");
    }
  }
}

TEST_F(AddressTest, HostsNamesAndDefaults) {
  for (const char* address : {"127.0.0.1:0", "tcp://127.0.0.1:0", "tcp://127.0.0.1:", "tcp://localhost:0", "tcp://:0",
                              "tcp://", "tcp4://:0", ":0", "tcp://127.0.0.1:0?reuseport=false"}) {
    EXPECT_EQ(connect_and_look(address, "127.0.0.1").index, 0) << address;
  }
  EXPECT_EQ(connect_and_look("tcp://[::1]:0", "::1").local.ip(), "::1");
  EXPECT_EQ(connect_and_look("tcp6://[::1]:0", "::1").local.ip(), "::1");
}

TEST_F(AddressTest, AddrsAreInTheOrderGivenWithTheirRealPorts) {
  EventLog log;
  Events handlers;
  handlers.opened = [&](Conn& conn, Output& out, Options&) {
    out = std::to_string(conn.addr_index());
    return Action::None;
  };
  const std::vector<std::string> given{"tcp://127.0.0.1:0", "unix://" + path("a"),
                                       "udp://127.0.0.1:0", "tcp://127.0.0.1:0?reuseport=true",
                                       "tcp6://[::1]:0",    "unix://" + path("b")};
  TestServer server(handlers, given);
  const std::vector<Addr>& addrs = server.handle().addrs();
  ASSERT_EQ(addrs.size(), given.size());
  const std::vector<std::string> networks{"tcp", "unix", "udp", "tcp", "tcp", "unix"};
  std::set<Addr> distinct;
  std::unordered_set<Addr> hashed;
  for (std::size_t i = 0; i < addrs.size(); ++i) {
    EXPECT_EQ(addrs[i].network(), networks[i]);
    EXPECT_EQ(addrs[i].port() > 0, networks[i] != "unix");
    distinct.insert(addrs[i]);
    hashed.insert(addrs[i]);
    if (networks[i] == "udp") continue;
    Client client = server.connect(i);
    EXPECT_EQ(client.receive(1), std::to_string(i));
  }
  EXPECT_EQ(distinct.size(), addrs.size());
  EXPECT_EQ(hashed.size(), addrs.size());
}

TEST_F(AddressTest, ServeTakesAVectorAnArrayASpanAndStrings) {
  const auto at_once = [] {
    Events handlers;
    handlers.serving = [](const Server& server) {
      return server.addrs().size() == 2 ? Action::Shutdown : Action::None;
    };
    return handlers;
  };
  const std::vector<std::string> vector{"tcp://127.0.0.1:0", ":0"};
  const std::array<std::string, 2> array{"tcp://127.0.0.1:0", ":0"};
  EXPECT_FALSE(serve(at_once(), vector));
  EXPECT_FALSE(serve(at_once(), array));
  EXPECT_FALSE(serve(at_once(), std::span<const std::string>(vector)));
  EXPECT_FALSE(serve(at_once(), "tcp://127.0.0.1:0", ":0"));
  EXPECT_FALSE(serve(at_once(), std::string("tcp://127.0.0.1:0"), std::string_view(":0")));
}

TEST_F(AddressTest, OneNetSchemeMakesThePollerPortable) {
  TestServer server({.num_loops = 4}, std::vector<std::string>{"tcp://127.0.0.1:0", "tcp-net://127.0.0.1:0"});
  for (const auto& [fd, target] : baseline().new_descriptors()) {
    EXPECT_TRUE(target.starts_with("socket:") || target.starts_with("pipe:")) << target;
  }
}

}  // namespace
}  // namespace evio::test
