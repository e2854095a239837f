// Guarantee 24: dup_listeners() hands the listening sockets over.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/datagram_client.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class DupListenersTest : public ModeTest {
 protected:
  Events echoing() {
    Events handlers = events();
    handlers.data = echo;
    return handlers;
  }
  std::string udp_address() const {
    return mode().poller == PollerKind::kPortable ? "udp-net://127.0.0.1:0" : "udp://127.0.0.1:0";
  }
  static std::vector<std::string> addresses_of(const std::vector<int>& descriptors) {
    std::vector<std::string> addresses;
    for (const int fd : descriptors) addresses.push_back("fd://" + std::to_string(fd));
    return addresses;
  }
  static void expect_echo(Client client) {
    ASSERT_TRUE(client.send_all("hello"));
    EXPECT_EQ(client.receive(5), "hello");
  }
  // The socket file stays once it was handed over.
  static void remove_file_of(const Addr& addr) {
    if (!mode().is_tcp()) {
      EXPECT_TRUE(std::filesystem::remove(addr.path()));
    }
  }
};
EVIO_INSTANTIATE(DupListenersTest, all_modes());

TEST_P(DupListenersTest, AreOneForEachAddressInTheirOrder) {
  TestServer server(echoing(), {udp_address(), address(), udp_address()});
  const std::vector<Addr> addrs = server.handle().addrs();
  const std::vector<int> duplicates = server.handle().dup_listeners();
  ASSERT_EQ(duplicates.size(), 3u);
  for (const int fd : duplicates) {
    EXPECT_GT(fd, STDERR_FILENO);
    EXPECT_EQ(::fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  }
  server.shutdown();
  EXPECT_FALSE(server.wait());
  TestServer next(echoing(), addresses_of(duplicates));
  EXPECT_EQ(next.handle().addrs(), addrs);
  expect_echo(next.connect(1));
  for (const std::size_t i : {std::size_t{0}, std::size_t{2}}) {
    DatagramClient client("127.0.0.1", next.addr(i).port());
    client.send("hello");
    EXPECT_EQ(client.receive_text(), "hello");
  }
  remove_file_of(addrs[1]);
}

TEST_P(DupListenersTest, AreAllOfAGroupSideBySide) {
  if (!mode().is_tcp()) return;
  TestServer server(echoing(), {address(), address() + "?reuseport=true", address()});
  const std::vector<int> duplicates = server.handle().dup_listeners();
  ASSERT_EQ(duplicates.size(), static_cast<std::size_t>(2 + loops()));
  server.shutdown();
  EXPECT_FALSE(server.wait());
  TestServer next(echoing(), addresses_of(duplicates));
  const std::size_t last = duplicates.size() - 1;
  EXPECT_EQ(next.addr(0), server.addr(0));
  for (std::size_t i = 1; i != last; ++i) EXPECT_EQ(next.addr(i), server.addr(1));
  EXPECT_EQ(next.addr(last), server.addr(2));
  for (int i = 0; i != 20; ++i) expect_echo(next.connect(1));
}

// What waits when the first one ends is served by the next; nobody is refused in between.
TEST_P(DupListenersTest, WhoWaitsIsAcceptedByTheNextServer) {
  for (const bool drains : {false, true}) {
    Gate busy;
    Gate go;
    const OpensAtEnd opens(go);
    Events handlers = events();
    handlers.num_loops = 1;  // which is busy while they connect
    handlers.data = [&](Conn&, const Bytes&, Output& out) {
      busy.open();
      EXPECT_TRUE(go.wait());
      out = "done";
      return Action::Close;
    };
    TestServer server(handlers, address());
    Client client = server.connect();
    ASSERT_TRUE(client.send_all("x"));
    ASSERT_TRUE(busy.wait());
    std::vector<Client> waiting;
    for (int i = 0; i != 20; ++i) waiting.push_back(server.connect());
    const std::vector<int> duplicates = server.handle().dup_listeners();
    ASSERT_EQ(duplicates.size(), 1u);
    drains ? server.handle().drain(kPatience) : server.shutdown();
    go.open();
    EXPECT_EQ(client.receive_all(), "done");
    EXPECT_FALSE(server.wait());
    EXPECT_EQ(server.handle().stats().accepted, 1u);
    for (int i = 0; i != 20; ++i) waiting.emplace_back(server.addr());
    TestServer next(echoing(), addresses_of(duplicates));
    for (Client& one : waiting) expect_echo(std::move(one));
    remove_file_of(server.addr());
  }
}

// All slots are taken, and all listeners rest. A busy loop has not yet heard of the drain when a slot becomes free.
TEST_P(DupListenersTest, NobodyIsAcceptedForTheListenerOfABusyLoop) {
  if (loops() == 1) return;
  Gate busy;
  Gate go;
  const OpensAtEnd opens(go);
  EventLog log;
  Events handlers = events();
  handlers.max_connections = 2;
  handlers.load_balance = LoadBalance::RoundRobin;
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    if (in == "wait") {
      busy.open();
      EXPECT_TRUE(go.wait());
    }
    return echo(conn, in, out);
  };
  handlers.closed = [&](Conn&, const Error&) {
    log.add("closed");
    return Action::None;
  };
  TestServer server(handlers, address());
  Client first;
  Client second;
  for (Client* const client : {&first, &second}) {  // one after the other: of loop 0, of loop 1
    *client = server.connect();
    ASSERT_TRUE(client->send_all("hello"));
    EXPECT_EQ(client->receive(5), "hello");
  }
  std::vector<Client> waiting;
  for (int i = 0; i != 5; ++i) waiting.push_back(server.connect());
  ASSERT_TRUE(all_sleep());
  ASSERT_TRUE(first.send_all("wait"));  // loop 0
  ASSERT_TRUE(busy.wait());
  const std::vector<int> duplicates = server.handle().dup_listeners();
  server.handle().drain(kPatience);
  Counter heard;  // a loop hears of a drain before it calls what was posted later
  for (int loop = 1; loop != loops(); ++loop) {
    EXPECT_TRUE(server.handle().post(loop, [&] {
      heard.add();
      return Action::None;
    }));
  }
  ASSERT_TRUE(heard.wait_for(static_cast<std::size_t>(loops() - 1)));
  second.close();
  ASSERT_TRUE(log.wait_for("closed"));
  go.open();
  first.close();
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(server.handle().stats().accepted, 2u);
  TestServer next(echoing(), addresses_of(duplicates));
  for (Client& one : waiting) expect_echo(std::move(one));
  remove_file_of(server.addr());
}

TEST_P(DupListenersTest, AnotherServerServesBesideTheFirst) {
  TestServer server(echoing(), address());
  TestServer next(echoing(), addresses_of(server.handle().dup_listeners()));
  for (int i = 0; i != 20; ++i) expect_echo(server.connect());
  server.shutdown();
  EXPECT_FALSE(server.wait());
  for (int i = 0; i != 20; ++i) expect_echo(next.connect());
  remove_file_of(next.addr());
}

TEST_P(DupListenersTest, AreNoneOnceTheListeningHasEnded) {
  EXPECT_TRUE(Server().dup_listeners().empty());
  for (const bool drains : {false, true}) {
    TestServer server(echoing(), address());
    Client client = server.connect();
    ASSERT_TRUE(client.send_all("hello"));
    EXPECT_EQ(client.receive(5), "hello");
    drains ? server.handle().drain(kPatience) : server.shutdown();
    EXPECT_TRUE(eventually([&] { return !Client(server.addr(), {.may_be_refused = true}).connected(); }));
    EXPECT_TRUE(server.handle().dup_listeners().empty());
    client.close();
    EXPECT_FALSE(server.wait());
    EXPECT_TRUE(server.handle().dup_listeners().empty());
  }
}

TEST_P(DupListenersTest, AreNoneWhenServingEndsIt) {
  Server kept;
  Events handlers = events();
  std::vector<int> duplicates;
  handlers.serving = [&](const Server& server) {
    kept = server;
    duplicates = server.dup_listeners();
    return Action::Shutdown;
  };
  ASSERT_FALSE(serve(handlers, address()));
  ASSERT_EQ(duplicates.size(), 1u);
  EXPECT_TRUE(kept.dup_listeners().empty());
  TestServer next(echoing(), addresses_of(duplicates));
  expect_echo(next.connect());
  remove_file_of(next.addr());
}

TEST_P(DupListenersTest, AreNoneWhereThereAreNoDescriptorsLeft) {
  TestServer server(echoing(), {address(), udp_address(), address()});
  const UniqueFd first_free(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = static_cast<rlim_t>(first_free.get()) + 2;  // there is room for one or two of the three
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const std::vector<int> duplicates = server.handle().dup_listeners();
  const int failure = errno;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(duplicates.empty());
  EXPECT_EQ(failure, EMFILE);
  // Nothing was handed over: the paths are removed.
}

TEST_P(DupListenersTest, MayBeAskedForWhileTheServerEnds) {
  for (int round = 0; round != 20; ++round) {
    const std::vector<std::string> addresses{address(), udp_address(), udp_address(), udp_address()};
    auto server = std::make_unique<TestServer>(echoing(), addresses);
    const Addr addr = server->addr();
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    Counter asked;
    std::atomic<bool> made{false};
    for (int i = 0; i != 3; ++i) {
      threads.emplace_back([&, handle = server->handle()] {
        while (!stop) {
          const std::vector<int> duplicates = handle.dup_listeners();
          EXPECT_TRUE(duplicates.empty() || duplicates.size() == addresses.size());
          if (!duplicates.empty()) made = true;
          for (const int fd : duplicates) {
            int type = 0;
            socklen_t size = sizeof(type);
            EXPECT_EQ(::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size), 0);
            EXPECT_EQ(type, fd == duplicates.front() ? SOCK_STREAM : SOCK_DGRAM);
            ::close(fd);
          }
          asked.add();
        }
      });
    }
    EXPECT_TRUE(asked.wait_for(10));
    round % 2 == 0 ? server->shutdown() : server->handle().drain(kPatience);
    EXPECT_FALSE(server->wait());
    stop = true;
    for (std::thread& thread : threads) thread.join();
    server.reset();
    ASSERT_TRUE(made);
    remove_file_of(addr);
  }
}

}  // namespace
}  // namespace evio::test
