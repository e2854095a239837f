// One server over tcp, udp and unix at once.
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "tests/support/datagram_client.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"
#include "tests/support/process.hpp"

namespace evio::test {
namespace {

struct Mix {
  int loops = 1;
  PollerKind poller = PollerKind::kEpoll;
};

class UdpMixedTest : public ServerTest, public testing::WithParamInterface<Mix> {
 protected:
  std::string net() const { return GetParam().poller == PollerKind::kPortable ? "-net" : ""; }
  // The portable poller serves the whole call when one address asks for it: here the last.
  std::vector<std::string> addresses() {
    return {"tcp://127.0.0.1:0", "udp://:0", "unix://" + path("s"), "udp4" + net() + "://127.0.0.1:0?reuseport=true"};
  }
};

struct MixName {
  std::string operator()(const testing::TestParamInfo<Mix>& info) const {
    return std::to_string(info.param.loops) + "loops" +
           (info.param.poller == PollerKind::kPortable ? "_portable" : "_epoll");
  }
};

INSTANTIATE_TEST_SUITE_P(, UdpMixedTest,
                         testing::Values(Mix{1, PollerKind::kEpoll}, Mix{4, PollerKind::kEpoll},
                                         Mix{1, PollerKind::kPortable}, Mix{4, PollerKind::kPortable}),
                         MixName());

TEST_P(UdpMixedTest, EachIsServedAsItsOwnKind) {
  EventLog log;
  Events handlers;
  handlers.num_loops = GetParam().loops;
  note_all(handlers, log);
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    log.add(conn, conn.local_addr().network() + std::to_string(conn.addr_index()) + " data");
    return echo(conn, in, out);
  };
  {
    TestServer server(handlers, addresses());
    EXPECT_EQ(descriptors_of("anon_inode:[eventpoll]").empty(), GetParam().poller == PollerKind::kPortable);
    ASSERT_EQ(server.handle().addrs().size(), 4u);
    Client tcp = server.connect(0);
    Client unix_client = server.connect(2);
    DatagramClient udp("::1", server.addr(1).port());
    DatagramClient udp4("127.0.0.1", server.addr(3).port());
    for (int i = 0; i != 5; ++i) {
      const std::string text = std::to_string(i);
      for (Client* client : {&tcp, &unix_client}) client->send_all(text);
      for (DatagramClient* client : {&udp, &udp4}) client->send(text);
      for (Client* client : {&tcp, &unix_client}) EXPECT_EQ(client->receive(1), text);
      for (DatagramClient* client : {&udp, &udp4}) EXPECT_EQ(client->receive_text(), text);
    }
  }
  for (const char* event : {"tcp0 data", "udp1 data", "unix2 data", "udp3 data"}) EXPECT_EQ(log.count(event), 5u);
  EXPECT_EQ(log.count("opened"), 2u);
  EXPECT_EQ(log.count("closed"), 2u);
  EXPECT_EQ(log.ids().size(), 12u) << "each datagram has an id of its own, and each connection";
}

TEST_P(UdpMixedTest, ADatagramTellsAStreamAndBack) {
  std::mutex mutex;
  Conn stream;
  Conn datagram;
  Events handlers;
  handlers.num_loops = GetParam().loops;
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    const std::lock_guard lock(mutex);
    stream = conn;
    EXPECT_TRUE(conn.send("welcome"));
    return Action::None;
  };
  handlers.data = [&](Conn& conn, const Bytes& in, Output&) {
    const std::lock_guard lock(mutex);
    if (conn.local_addr().network() == "udp") {
      datagram = conn;
      EXPECT_TRUE(stream.send(in));
    } else {
      EXPECT_TRUE(datagram.send(in));
    }
    return Action::None;
  };
  TestServer server(handlers, addresses());
  for (const std::size_t index : {0u, 2u}) {
    Client client = server.connect(index);
    EXPECT_EQ(client.receive(7), "welcome");
    for (const std::size_t udp_index : {1u, 3u}) {
      DatagramClient udp("127.0.0.1", server.addr(udp_index).port());
      udp.send("over");
      EXPECT_EQ(client.receive(4), "over");
      client.send_all("and out");
      EXPECT_EQ(udp.receive_text(), "and out");
    }
  }
}

TEST_P(UdpMixedTest, TcpAndUdpMayHaveTheSamePort) {
  // A port that is free for both: taken for tcp, tried for udp.
  for (int attempt = 0; attempt != 20; ++attempt) {
    int port = 0;
    {
      Events nothing;
      TestServer first(nothing, "tcp" + net() + "://127.0.0.1:0");
      port = first.addr().port();
    }
    const std::string host = "://127.0.0.1:" + std::to_string(port);
    bool served = false;
    Events handlers;
    handlers.num_loops = GetParam().loops;
    handlers.serving = [&](const Server& server) {
      served = true;
      EXPECT_EQ(server.addrs().at(0).port(), server.addrs().at(1).port());
      EXPECT_NE(server.addrs().at(0), server.addrs().at(1));
      return Action::Shutdown;
    };
    if (!serve(handlers, "tcp" + net() + host, "udp" + host)) {
      EXPECT_TRUE(served);
      return;
    }
  }
  ADD_FAILURE() << "20 ports in a row were in use";
}

}  // namespace
}  // namespace evio::test
