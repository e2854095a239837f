// A callback may run a server of its own; both loops are then its thread's.
#include <chrono>
#include <string>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class NestedServeTest : public ModeTest {
 protected:
  Client inner_client_;
};
EVIO_INSTANTIATE(NestedServeTest, all_modes());

TEST_P(NestedServeTest, ServesAndReturns) {
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes& in, Output& out) {
    std::string echoed;
    Events inner;
    inner.data = echo;
    inner.serving = [&](const Server& server) {
      Client client(server.addrs().front());  // the backlog takes it, and what it sends
      client.send_all(in);
      inner_client_ = std::move(client);
      return Action::None;
    };
    inner.tick = [&](std::chrono::nanoseconds& delay) {
      delay = std::chrono::milliseconds(1);
      echoed += inner_client_.is_quiet() ? "" : inner_client_.receive(in.size());
      return echoed.size() == in.size() ? Action::Shutdown : Action::None;
    };
    EXPECT_FALSE(serve(inner, "tcp://127.0.0.1:0"));
    out = echoed + "!";
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("hello");
  EXPECT_EQ(client.receive(6), "hello!");
  inner_client_.close();
}

TEST_P(NestedServeTest, KeepsTheOrderOfWhatItsThreadSends) {
  Events handlers = events();
  handlers.data = [](Conn& outer, const Bytes&, Output& out) {
    EXPECT_TRUE(outer.send("1 "));
    Events inner;
    inner.tick = [&](std::chrono::nanoseconds&) {
      EXPECT_TRUE(outer.send("2 "));
      return Action::Shutdown;
    };
    EXPECT_FALSE(serve(inner, "tcp://127.0.0.1:0"));
    EXPECT_TRUE(outer.send("3 "));
    out = "4";
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("x");
  EXPECT_EQ(client.receive(7), "1 2 3 4");
}

}  // namespace
}  // namespace evio::test
