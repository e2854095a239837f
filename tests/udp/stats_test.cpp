// Guarantee 26, of datagrams: each is counted once, whoever sends it, and none of them for a stream.
#include <string>
#include <thread>

#include "tests/support/datagram_fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class UdpStatsTest : public DatagramTest {
 protected:
  static constexpr std::uint64_t kClients = 4;
  static constexpr std::uint64_t kEach = 25;
};
EVIO_INSTANTIATE_DATAGRAMS(UdpStatsTest, all_datagram_modes());

TEST_P(UdpStatsTest, AgreeWithWhatTheClientsCount) {
  Server server;
  Conn kept;
  Gate has_conn;
  Counter heard;
  Events handlers = events();
  handlers.serving = [&](const Server& handle) {
    server = handle;
    return Action::None;
  };
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    EXPECT_GE(server.stats(conn.loop_index()).datagrams_read, 1u) << "not counted before the call that tells of it";
    if (in == "keep") {
      kept = conn;
      has_conn.open();
    } else if (in == "send") {
      EXPECT_TRUE(conn.send("sent"));
    } else if (in == "large") {
      out = std::string(in.size() * 20'000, 'x');  // more than any datagram holds
    } else if (in != "silence") {
      out = in;
    }
    heard.add();
    return Action::None;
  };
  TestServer running(handlers, address());
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  for (std::uint64_t i = 0; i != kClients; ++i) {
    DatagramClient client = connect(running);
    for (std::uint64_t n = 0; n != kEach; ++n) {
      const std::string text = n % 5 == 0 ? "silence" : n % 5 == 1 ? "send" : n % 5 == 2 ? "" : std::to_string(n);
      client.send(text);
      ++sent;
      if (text == "silence" || text.empty()) continue;
      EXPECT_EQ(client.receive_text(), text == "send" ? "sent" : text);
      ++received;
    }
  }
  DatagramClient client = connect(running);
  client.send("large");
  client.send("keep");
  sent += 2;
  ASSERT_TRUE(has_conn.wait());
  std::thread([&] {
    EXPECT_TRUE(kept.send("from elsewhere"));
    EXPECT_FALSE(kept.send(std::string(mode().largest() + 1, 'x')));
  }).join();
  EXPECT_EQ(client.receive_text(), "from elsewhere");
  ++received;
  ASSERT_TRUE(heard.wait_for(sent));
  EXPECT_TRUE(eventually([&] { return server.stats().datagrams_written == received; })) << "counted by the next turn";
  const Stats all = server.stats();
  EXPECT_EQ(all.datagrams_read, sent);
  EXPECT_EQ(all.datagrams_failed, 2u);
  EXPECT_EQ(all.reads + all.writes + all.bytes_read + all.bytes_written, 0u) << "those are of streams";
  EXPECT_EQ(all.accepted + all.closed + all.connections, 0u);
  Stats sum;
  for (int loop = 0; loop < server.num_loops(); ++loop) {
    sum.datagrams_read += server.stats(loop).datagrams_read;
    sum.datagrams_written += server.stats(loop).datagrams_written;
    sum.datagrams_failed += server.stats(loop).datagrams_failed;
  }
  EXPECT_EQ(sum.datagrams_read, sent);
  EXPECT_EQ(sum.datagrams_written, received);
  EXPECT_EQ(sum.datagrams_failed, 2u);
  running.shutdown();
  EXPECT_FALSE(running.wait());
  EXPECT_EQ(server.stats().datagrams_read, sent);
}

}  // namespace
}  // namespace evio::test
