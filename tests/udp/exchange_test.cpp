// Guarantee 16: one data call a datagram, and one datagram for its output.
#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/datagram_fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class UdpExchangeTest : public DatagramTest {};
EVIO_INSTANTIATE_DATAGRAMS(UdpExchangeTest, all_datagram_modes());

TEST_P(UdpExchangeTest, EachDatagramIsOneCallAndItsOutputOneDatagram) {
  std::mutex mutex;
  std::vector<std::string> seen;
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes& in, Output& out) {
    const std::lock_guard lock(mutex);
    seen.push_back(in.str());
    out = "<";
    out += in;
    out += ">";
    return Action::None;
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  std::vector<std::string> sent;
  for (const std::size_t size : {1u, 2u, 7u, 8u, 9u, 512u, 1472u, 1473u, 4096u, 16'384u, 20'000u}) {
    sent.push_back(pattern(size, static_cast<unsigned>(size)));
    client.send(sent.back());
  }
  for (const std::string& text : sent) EXPECT_EQ(client.receive_text(), "<" + text + ">");
  EXPECT_TRUE(client.is_quiet());
  const std::lock_guard lock(mutex);
  EXPECT_EQ(seen, sent);
}

TEST_P(UdpExchangeTest, EmptyInputIsACallEmptyOutputIsNothing) {
  Counter empty;
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes& in, Output& out) {
    if (in.empty()) {
      empty.add();
      out = "";
    } else {
      out = in;
    }
    return Action::None;
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  client.send("");
  client.send("");
  client.send("not empty");
  EXPECT_TRUE(empty.wait_for(2));
  EXPECT_EQ(client.receive_text(), "not empty");
  client.send("");
  EXPECT_TRUE(empty.wait_for(3));
  EXPECT_TRUE(client.is_quiet());
}

TEST_P(UdpExchangeTest, SendOfNothingIsAnEmptyDatagram) {
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    EXPECT_TRUE(conn.send(""));
    EXPECT_TRUE(conn.send(Bytes()));
    out = in;
    return Action::None;
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  client.send("last");
  EXPECT_EQ(client.receive_text(), "");
  EXPECT_EQ(client.receive_text(), "");
  EXPECT_EQ(client.receive_text(), "last");
}

TEST_P(UdpExchangeTest, TheLargestDatagramGoesBothWays) {
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    if (in.view().substr(0, 5) == "send:") {
      EXPECT_TRUE(conn.send(in));
    } else {
      out = in;
    }
    return Action::None;
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  for (const std::string start : {"out:", "send:"}) {
    const std::string text = start + pattern(mode().largest() - start.size());
    client.send(text);
    const std::string answer = client.receive_text();
    ASSERT_EQ(answer.size(), text.size());
    EXPECT_TRUE(answer == text);
  }
}

TEST_P(UdpExchangeTest, AnAnswerThatIsTooLargeIsLostAndNoOther) {
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes& in, Output& out) {
    out = in;
    if (in == "text") out.append(std::string(mode().largest(), 'x'));
    if (in == "shared") out.append(Bytes(std::string(mode().largest(), 'x')));
    if (in == "many") {
      for (int i = 0; i != 2000; ++i) out.append(Bytes(std::string(16 * 1024, 'x'))).push_back('y');
    }
    return Action::None;
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  for (const char* text : {"text", "1", "shared", "many", "2", "text", "3"}) client.send(text);
  for (const char* text : {"1", "2", "3"}) EXPECT_EQ(client.receive_text(), text);
  EXPECT_TRUE(client.is_quiet());
}

TEST_P(UdpExchangeTest, AnOutputOfManyPiecesIsOneDatagram) {
  const Bytes large(std::string(16 * 1024, 'L'));
  std::string expected;
  for (int i = 0; i != 3; ++i) expected += "head" + std::to_string(i) + large.str() + "tail";
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes&, Output& out) {
    for (int i = 0; i != 3; ++i) out.append("head").append(std::to_string(i)).append(large).append("tail");
    return Action::None;
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  client.send("?");
  const std::string answer = client.receive_text();
  ASSERT_EQ(answer.size(), expected.size());
  EXPECT_TRUE(answer == expected);
}

TEST_P(UdpExchangeTest, WithoutADataCallbackNothingHappens) {
  TestServer server(events(), address());
  DatagramClient client = connect(server);
  client.send("anyone?");
  client.send("");
  EXPECT_TRUE(client.is_quiet());
}

TEST_P(UdpExchangeTest, CloseAndDetachDoNothing) {
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes& in, Output& out) {
    out = in;
    return in == "close" ? Action::Close : in == "detach" ? Action::Detach : Action::None;
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  for (const char* text : {"close", "detach", "none", "close", "detach", "none"}) {
    client.send(text);
    EXPECT_EQ(client.receive_text(), text);
  }
}

TEST_P(UdpExchangeTest, ShutdownSendsTheAnswersBeforeItEnds) {
  Events handlers = events();
  handlers.data = [&](Conn&, const Bytes& in, Output& out) {
    out = in;
    return in == "stop" ? Action::Shutdown : Action::None;
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  client.send("first");
  client.send("stop");
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(client.receive_text(), "first");
  EXPECT_EQ(client.receive_text(), "stop");
}

// Between two servers the port is anyone's, and once in a while it is taken by a test beside this one.
TEST_P(UdpExchangeTest, AServerThatIsOverLeavesItsPortToTheNext) {
  int left = 0;
  for (int i = 0; i != 3; ++i) {
    Events handlers = events();
    handlers.data = echo;
    TestServer server(handlers, address());
    DatagramClient client = connect(server);
    client.send("ping");
    EXPECT_EQ(client.receive_text(), "ping");
    const std::string again = mode().scheme + "://:" + std::to_string(server.addr().port());
    EXPECT_TRUE(serve(Events{}, again)) << "two servers share a port";
    server.shutdown();
    EXPECT_FALSE(server.wait());
    Events ends_at_once;
    ends_at_once.serving = [](const Server&) { return Action::Shutdown; };
    const Error err = serve(ends_at_once, again);
    EXPECT_TRUE(!err || err.code() == std::errc::address_in_use) << err.message();
    if (!err) ++left;
  }
  EXPECT_GT(left, 0);
}

}  // namespace
}  // namespace evio::test
