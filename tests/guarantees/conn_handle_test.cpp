// What a Conn says of where it is: its descriptor, in its own callbacks, and its server.
#include <sys/socket.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/datagram_client.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class ConnHandleTest : public ModeTest {};
EVIO_INSTANTIATE(ConnHandleTest, all_modes());

bool is_accepted_socket(int fd) {
  int type = 0;
  socklen_t size = sizeof(type);
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

// Each callback sees it, and it is the same in all of them.
TEST_P(ConnHandleTest, ItsDescriptorIsThereInItsOwnCallbacks) {
  EventLog log;
  std::atomic<int> first{-1};
  const auto see = [&](const Conn& conn, const char* where) {
    const int fd = conn.native_handle();
    EXPECT_TRUE(is_accepted_socket(fd)) << where;
    if (first == -1) first = fd;
    EXPECT_EQ(fd, first) << where;
    log.add(conn, where);
    return Action::None;
  };
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output& out, Options& opts) {
    opts.half_open = true;
    out = pattern(8'000'000);
    return see(conn, "opened");
  };
  handlers.data = [&](Conn& conn, const Bytes&, Output&) { return see(conn, "data"); };
  handlers.congested = [&](Conn& conn) { return see(conn, "congested"); };
  handlers.drained = [&](Conn& conn, Output&) { return see(conn, "drained"); };
  handlers.ended = [&](Conn& conn, Output&) {
    EXPECT_TRUE(conn.expires_after(std::chrono::milliseconds(1)));
    EXPECT_TRUE(conn.post([&](Conn& mine, Output&) { return see(mine, "posted"); }));
    return see(conn, "ended");
  };
  handlers.timeout = [&](Conn& conn, Timeout, Output&) {
    see(conn, "timeout");
    return Action::Close;
  };
  handlers.closed = [&](Conn& conn, const Error&) { return see(conn, "closed"); };
  TestServer server(handlers, address());
  Client client(server.addr(), {.receive_buffer = 131'072});
  EXPECT_EQ(client.receive(8'000'000).size(), 8'000'000u);
  client.send_all("x");
  ASSERT_TRUE(log.wait_for("data"));
  client.shutdown_write();
  ASSERT_TRUE(log.wait_for("closed"));
  EXPECT_EQ(log.all(),
            (EventLog::List{"opened", "congested", "drained", "data", "ended", "posted", "timeout", "closed"}));
}

TEST_P(ConnHandleTest, ElsewhereItIsNotThere) {
  std::vector<Conn> conns;
  std::mutex mutex;
  Counter opened;
  Counter heard;
  std::atomic<int> in_detached{0};
  Gate detached;
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    const std::lock_guard lock(mutex);
    conns.push_back(conn);
    opened.add();
    return Action::None;
  };
  handlers.data = [&](Conn& conn, const Bytes& in, Output&) {
    if (in == "detach") return Action::Detach;
    const std::lock_guard lock(mutex);
    for (const Conn& other : conns) EXPECT_EQ(other.native_handle() >= 0, other == conn);
    std::thread([&] { EXPECT_EQ(conn.native_handle(), -1) << "another thread, while it waits"; }).join();
    heard.add();
    return Action::None;
  };
  handlers.detached = [&](Conn& conn, DetachedConn) {
    in_detached = conn.native_handle();
    detached.open();
    return Action::None;
  };
  handlers.pre_write = [&] {};
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (std::size_t i = 0; i != 5; ++i) clients.push_back(server.connect());
  ASSERT_TRUE(opened.wait_for(5));
  for (Client& client : clients) client.send_all("x");
  ASSERT_TRUE(heard.wait_for(5));
  for (const Conn& conn : conns) EXPECT_EQ(conn.native_handle(), -1);
  clients[0].send_all("detach");
  ASSERT_TRUE(detached.wait());
  EXPECT_EQ(in_detached, -1);
  server.shutdown();
  EXPECT_FALSE(server.wait());
  for (const Conn& conn : conns) EXPECT_EQ(conn.native_handle(), -1);
  EXPECT_EQ(Conn().native_handle(), -1);
}

TEST_P(ConnHandleTest, ItsServerIsTheOneThatServesIt) {
  Conn kept;
  Counter opened;
  std::atomic<bool> same{false};
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    kept = conn;
    same = conn.server().num_loops() == loops();
    opened.add();
    return Action::None;
  };
  handlers.data = [&](Conn& conn, const Bytes&, Output&) {
    conn.server().shutdown();
    return Action::None;
  };
  EXPECT_TRUE(Conn().server().addrs().empty());
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(opened.wait_for(1));
  EXPECT_TRUE(same);
  ASSERT_EQ(kept.server().addrs().size(), 1u);
  EXPECT_EQ(kept.server().addrs()[0], server.addr());
  client.send_all("x");
  EXPECT_FALSE(server.wait()) << "shut down by way of its connection";
  EXPECT_EQ(kept.server().addrs().size(), 1u) << "the test has a handle";
}

// A connection that is kept keeps its server's memory from nobody.
TEST_P(ConnHandleTest, ItsServerIsNothingOnceServeHasReturnedAndNoHandleIsLeft) {
  Conn kept;
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    kept = conn;
    conn.server().shutdown();
    return Action::None;
  };
  Gate bound;
  Addr addr;
  handlers.serving = [&](const Server& server) {
    addr = server.addrs()[0];
    bound.open();
    return Action::None;
  };
  Error err;
  const std::string where = address();
  std::thread serving([&] { err = serve(handlers, where); });
  EXPECT_TRUE(bound.wait());
  Client client(addr);
  serving.join();
  EXPECT_FALSE(err) << err.message();
  EXPECT_TRUE(kept.server().addrs().empty());
  EXPECT_EQ(kept.server().num_loops(), 0);
  kept.server().shutdown();
  EXPECT_FALSE(kept.server().post(0, [] { return Action::None; }));
}

// Of a datagram's Conn that is the only thing of these.
class DatagramHandleTest : public ServerTest {};

TEST_F(DatagramHandleTest, ADatagramsConnKnowsItsServerAndNothingElse) {
  Conn kept;
  Gate heard;
  Events handlers;
  handlers.data = [&](Conn& conn, const Bytes&, Output& out) {
    EXPECT_EQ(conn.native_handle(), -1);
    EXPECT_EQ(conn.pending(), 0u);
    EXPECT_FALSE(conn.pause());
    EXPECT_FALSE(conn.resume());
    EXPECT_FALSE(conn.close_write());
    kept = conn;
    out = "answer";
    heard.open();
    return Action::None;
  };
  TestServer server(handlers, "udp://127.0.0.1:0");
  DatagramClient client("127.0.0.1", server.addr().port());
  client.send("x");
  ASSERT_TRUE(heard.wait());
  ASSERT_EQ(kept.server().addrs().size(), 1u);
  EXPECT_EQ(kept.server().addrs()[0], server.addr());
  EXPECT_EQ(kept.pending(), 0u);
  EXPECT_FALSE(kept.close_write());
  kept.server().shutdown();
  EXPECT_FALSE(server.wait());
}

}  // namespace
}  // namespace evio::test
