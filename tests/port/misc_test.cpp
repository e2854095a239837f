// What Go evio's TestBadAddresses, TestInputStream, TestReuseInputBuffer and TestReuseport do, with their outcome
// asserted.
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/fixture.hpp"

namespace evio::test {
namespace {

class EvioPortMiscTest : public ServerTest {
 protected:
  static Events shutting_down() {
    Events handlers;
    handlers.serving = [](const Server&) { return Action::Shutdown; };
    return handlers;
  }
};

TEST_F(EvioPortMiscTest, BadAddresses) {
  for (const char* bad : {"tulip://howdy", "howdy"}) {
    const Error err = serve(shutting_down(), bad);
    EXPECT_TRUE(err);
    EXPECT_NE(err.message().find(bad), std::string::npos) << err.message();
  }
  for (const char* good : {"tcp://", "tcp-net://"}) {
    const Error err = serve(shutting_down(), good);
    EXPECT_FALSE(err) << err.message();
  }
}

TEST_F(EvioPortMiscTest, InputStreamKeepsWhatWasNotUsed) {
  InputStream stream;
  const std::string hello = "HELLO";
  const std::string_view first = stream.begin(hello);
  EXPECT_EQ(first, "HELLO");
  EXPECT_EQ(first.data(), hello.data()) << "nothing was kept, so nothing needs a copy";
  stream.end(first.substr(3));
  EXPECT_EQ(stream.begin("WLY"), "LOWLY");
  stream.end({});
  EXPECT_EQ(stream.begin("PLAYER"), "PLAYER");
}

// With reuse_input_buffer the first packet turns into the second one; without it, it stays.
TEST_F(EvioPortMiscTest, ReuseInputBuffer) {
  for (const bool reuse : {true, false}) {
    if (reuse && kAddressSanitizer) continue;  // there it may not be looked at: see InputPoisonTest
    for (const char* address : {"tcp://127.0.0.1:0", "tcp-net://127.0.0.1:0"}) {
      Bytes previous;
      std::string seen_later;
      Events handlers;
      handlers.opened = [&](Conn&, Output&, Options& opts) {
        opts.reuse_input_buffer = reuse;
        return Action::None;
      };
      handlers.data = [&](Conn&, const Bytes& in, Output& out) {
        if (!previous.empty()) {
          seen_later = previous.str();
          return Action::Shutdown;
        }
        previous = in;
        out = "go on";  // evio's test sleeps here
        return Action::None;
      };
      TestServer server(handlers, address);
      Client client = server.connect();
      client.send_all("packet1");
      EXPECT_EQ(client.receive(5), "go on");
      client.send_all("packet2");
      EXPECT_FALSE(server.wait());
      EXPECT_EQ(seen_later, reuse ? "packet2" : "packet1");
    }
  }
}

// Five servers at once on one port, which every one of them is told.
TEST_F(EvioPortMiscTest, ReuseportLetsServersShareAPort) {
  Events first_handlers;
  first_handlers.data = [](Conn&, const Bytes&, Output&) { return Action::Close; };
  TestServer first(first_handlers, "tcp://:0?reuseport=true");
  const std::string address = "tcp://:" + std::to_string(first.addr().port()) + "?reuseport=";
  std::vector<std::thread> servers;
  Counter served;
  for (int i = 0; i < 5; ++i) {
    servers.emplace_back([&, i] {
      Events handlers;
      handlers.serving = [&](const Server& server) {
        EXPECT_EQ(server.addrs().front().port(), first.addr().port());
        served.add();
        return Action::Shutdown;
      };
      const Error err = serve(handlers, address + (i % 2 == 0 ? "true" : "1"));
      EXPECT_FALSE(err) << err.message();
    });
  }
  for (std::thread& server : servers) server.join();
  EXPECT_EQ(served.value(), 5u);
  // Without it the port is taken.
  EXPECT_EQ(serve(shutting_down(), address + "false").code(), std::errc::address_in_use);
}

}  // namespace
}  // namespace evio::test
