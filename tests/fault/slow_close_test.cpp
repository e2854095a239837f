// Guarantee 4, with 20: after Close every byte reaches a peer that reads slowly and still sends.
#include <string>

#include "tests/fault/inject.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class SlowCloseTest : public ModeTest {};

// What the peer sends when the server has closed its socket is answered by a reset, which destroys what is in flight.
// When a second has passed the loop looks whether the peer has acknowledged everything (SIOCOUTQ), and waits on.
TEST_P(SlowCloseTest, DeliversEveryByteToASlowReader) {
  static const std::string kMuch = pattern(1'000'000);
  Counter looks;
  Injection injection([](Invocation&) { return 0; },
                      [&](const Invocation& invocation, long) {
                        if (invocation.call == Call::kIoctl) looks.add();
                      });
  Gate closed;
  Events handlers = events();
  handlers.data = [](Conn&, const Bytes&, Output& out) {
    out = kMuch;
    return Action::Close;
  };
  handlers.closed = [&](Conn&, const Error& err) {
    EXPECT_FALSE(err) << err.message();
    closed.open();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client(server.addr(), {.receive_buffer = 65'536});
  ASSERT_TRUE(client.send_all("request"));
  std::string received;
  // Until everything is handed to the kernel, and no further: what is in flight then has to stay there.
  while (!closed.is_open()) {
    received += client.receive(10'000);
    ASSERT_TRUE(all_sleep());
  }
  const std::size_t before = looks.value();
  for (std::size_t look = 1; look <= 2; ++look) {
    ASSERT_TRUE(client.send_all("more"));
    ASSERT_TRUE(looks.wait_for(before + look));
  }
  received += client.receive_all();
  EXPECT_TRUE(received == kMuch) << received.size();
  EXPECT_TRUE(client.at_end()) << client.error().message();
}

// However short close_timeout is: a loop looks so often, and the first looks have found everything acknowledged.
TEST_P(SlowCloseTest, DiscardsInputForASecondWhateverTheCloseTimeout) {
  Counter looks;
  Gate closed;
  Injection injection([](Invocation&) { return 0; },
                      [&](const Invocation& invocation, long) {
                        if (invocation.call == Call::kIoctl && closed.is_open()) looks.add();
                      });
  Events handlers = events();
  handlers.close_timeout = std::chrono::milliseconds(100);
  handlers.data = [](Conn&, const Bytes&, Output& out) {
    out = "bye";
    return Action::Close;
  };
  handlers.closed = [&](Conn&, const Error& err) {
    EXPECT_FALSE(err) << err.message();
    closed.open();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(client.send_all("request"));
  EXPECT_EQ(client.receive_all(), "bye");
  EXPECT_TRUE(client.at_end());
  EXPECT_TRUE(eventually([&] { return !client.send_all("more"); })) << "it is never closed";
  EXPECT_EQ(looks.value(), 10u);
}

EVIO_INSTANTIATE(SlowCloseTest, modes_of(Network::kTcp));

}  // namespace
}  // namespace evio::test
