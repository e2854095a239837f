// In the steady state nothing is allocated: echo, and the examples' http and redis GET.
#include <string>
#include <vector>

#include "examples/http/service.hpp"
#include "examples/redis/service.hpp"
#include "tests/perf/allocations.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class AllocationsTest : public ModeTest {
 protected:
  /// Serves, on one loop, whose allocations are counted from now on.
  void serve(Events handlers) {
    handlers.serving = [](const Server&) {
      count_allocations_here();
      return Action::None;
    };
    server_ = std::make_unique<TestServer>(std::move(handlers), address());
    for (Client& client : clients_) client = server_->connect();
  }

  /// What the server answers; it must close the connection at the end of its input.
  std::string answer(std::string_view request) {
    Client client = server_->connect();
    client.send_all(request);
    client.shutdown_write();
    return client.receive_all();
  }

  void expect_from_all(std::string_view text) {
    for (Client& client : clients_) ASSERT_EQ(client.receive(text.size()), text);
  }

  /// How many allocations it takes to answer `request` a thousand times on each of the connections, when all of them
  /// have had it answered before.
  std::uint64_t allocations_for(std::string_view request, std::size_t size_of_answer) {
    exchange(request, size_of_answer, 10);
    const std::uint64_t before = allocations();
    exchange(request, size_of_answer, 1'000);
    return allocations() - before;
  }

  void TearDown() override {
    for (Client& client : clients_) client.close();
    server_.reset();
    ModeTest::TearDown();
  }

 private:
  void exchange(std::string_view request, std::size_t size_of_answer, int times) {
    for (int i = 0; i < times; ++i) {
      for (Client& client : clients_) client.send_all(request);
      for (Client& client : clients_) ASSERT_EQ(client.receive(size_of_answer).size(), size_of_answer);
    }
  }

  std::unique_ptr<TestServer> server_;
  std::vector<Client> clients_{8};
};
EVIO_INSTANTIATE(AllocationsTest, modes_of({1}));

std::string repeated(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST_P(AllocationsTest, AreCounted) {
  Events handlers;
  handlers.data = [](Conn&, const Bytes& in, Output& out) {
    out = std::string(100, in.view().front());
    return Action::None;
  };
  serve(handlers);
  EXPECT_GE(allocations_for("x", 100), 8'000U);
}

TEST_P(AllocationsTest, NoneForAnEcho) {
  Events handlers;
  handlers.data = echo;
  serve(handlers);
  EXPECT_EQ(allocations_for("hello\n", 6), 0U);
}

TEST_P(AllocationsTest, NoneForASendInItsOwnCallback) {
  Events handlers;
  handlers.data = [](Conn& conn, const Bytes& in, Output&) {
    conn.send(in);
    return Action::None;
  };
  serve(handlers);
  EXPECT_EQ(allocations_for("hello", 5), 0u);
}

TEST_P(AllocationsTest, NoneForABroadcastOfACallback) {
  std::vector<Conn> everybody;
  Events handlers;
  handlers.opened = [&](Conn& conn, Output& out, Options&) {
    everybody.push_back(conn);
    out = "!";
    return Action::None;
  };
  // Once for each message of the first: how many others are there in the same turn depends on scheduling.
  handlers.data = [&](Conn& from, const Bytes& in, Output&) {
    for (const Conn& conn : everybody) {
      if (from == everybody.front()) conn.send(in);
    }
    return Action::None;
  };
  serve(handlers);
  expect_from_all("!");
  EXPECT_EQ(allocations_for("hello", 5), 0u);
}

TEST_P(AllocationsTest, NoneForAnHttpRequest) {
  for (const bool noparse : {true, false}) {
    serve(http::events({.noparse = noparse}));
    const std::string request = "GET /hello?times=1 HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";
    const std::size_t size = answer(request).size();
    ASSERT_GT(size, 0U);
    EXPECT_EQ(allocations_for(request, size), 0U) << "noparse: " << noparse;
    EXPECT_EQ(allocations_for(repeated(request, 16), size * 16), 0U) << "pipelined, noparse: " << noparse;
  }
}

TEST_P(AllocationsTest, NoneForARedisGet) {
  serve(redis::events());
  ASSERT_EQ(answer("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n"), "+OK\r\n");
  const std::string get = "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n";
  const std::string value = "$5\r\nvalue\r\n";
  ASSERT_EQ(answer(get), value);
  EXPECT_EQ(allocations_for(get, value.size()), 0U);
  EXPECT_EQ(allocations_for(repeated(get, 16), value.size() * 16), 0U) << "pipelined";
}

}  // namespace
}  // namespace evio::test
