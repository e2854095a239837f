// Guarantees 1 and 4: a connection that ends in the middle of a batch of events, whose descriptor the next one gets at
// once.
#include <string>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class DescriptorReuseTest : public ModeTest {
 protected:
  static constexpr std::size_t kConns = 40;

  // A connection's context is its number: what arrives on it must have been sent to it.
  struct Number {
    std::size_t value;
  };
};
EVIO_INSTANTIATE(DescriptorReuseTest, all_modes());

// While the loop is held in a callback, all peers send and half of them go away; what the loop then finds in one batch
// ends connections while new ones come in on the same descriptors.
TEST_P(DescriptorReuseTest, NoEventReachesAnotherConnection) {
  Counter opened;
  Counter ended;
  Gate held;
  Gate go_on;
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output& out, Options&) {
    conn.set_context(Number{conn.id()});
    out = std::to_string(conn.id()) + ";";
    opened.add();
    return Action::None;
  };
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    EXPECT_EQ(conn.context<Number>()->value, conn.id());
    if (in == "hold") {
      held.open();
      EXPECT_TRUE(go_on.wait());
      return Action::None;
    }
    // "close 7", "detach 7", "echo 7": each names the connection it was sent to.
    EXPECT_EQ(in.str().substr(in.str().find(' ') + 1), std::to_string(conn.id()));
    out = in;
    return in.view().starts_with("close")    ? Action::Close
           : in.view().starts_with("detach") ? Action::Detach
                                             : Action::None;
  };
  handlers.closed = [&](Conn& conn, const Error&) {
    EXPECT_EQ(conn.context<Number>()->value, conn.id());
    ended.add();
    return Action::None;
  };
  handlers.detached = [&](Conn& conn, DetachedConn) {
    EXPECT_EQ(conn.context<Number>()->value, conn.id());
    ended.add();
    return Action::None;
  };
  TestServer server(handlers, address());
  const auto read_number = [](Client& client) {
    std::string number;
    for (std::string c = client.receive(1); c != ";" && !c.empty(); c = client.receive(1)) number += c;
    return number;
  };
  Client holder = server.connect();
  read_number(holder);
  std::vector<Client> clients;
  std::vector<std::string> numbers;
  for (std::size_t i = 0; i < kConns; ++i) {
    clients.push_back(server.connect());
    numbers.push_back(read_number(clients.back()));
  }
  holder.send_all("hold");
  ASSERT_TRUE(held.wait());
  const std::vector<std::string> words{"close ", "detach ", "echo ", ""};
  std::vector<Client> newcomers;
  for (std::size_t i = 0; i < kConns; ++i) {
    const std::string& word = words[i % words.size()];
    if (!word.empty()) clients[i].send_all(word + numbers[i]);
    if (word.empty() || i % 8 < 2) clients[i].reset();
    newcomers.push_back(server.connect());
  }
  go_on.open();
  for (Client& newcomer : newcomers) {
    const std::string text = "echo " + read_number(newcomer);
    newcomer.send_all(text);
    EXPECT_EQ(newcomer.receive(text.size()), text);
  }
  EXPECT_TRUE(ended.wait_for(kConns * 3 / 4));
  for (std::size_t i = 2; i < kConns; i += words.size()) {
    const std::string text = "echo " + numbers[i];
    EXPECT_EQ(clients[i].receive(text.size()), text);
  }
}

}  // namespace
}  // namespace evio::test
