// Guarantee 2: urgent data (tcp(7), MSG_OOB) comes in its place.
#include <sys/socket.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

struct Piece {
  std::string text;
  bool urgent = false;  // its last byte is
};

class UrgentDataTest : public ModeTest {
 protected:
  // Every byte comes back, in the order sent.
  void expect_in_order(const std::vector<Piece>& pieces) {
    Events handlers = events();
    handlers.data = echo;
    TestServer server(handlers, address());
    for (const bool each_alone : {false, true}) {
      Client client = server.connect();
      std::string sent;
      std::string received;
      for (const auto& [text, urgent] : pieces) {
        ASSERT_EQ(::send(client.fd(), text.data(), text.size(), urgent ? MSG_OOB : 0),
                  static_cast<ssize_t>(text.size()));
        sent += text;
        if (each_alone) received += client.receive(text.size());
      }
      received += client.receive(sent.size() - received.size());
      EXPECT_EQ(received, sent);
    }
  }
};
EVIO_INSTANTIATE(UrgentDataTest, modes_of(Network::kTcp));

TEST_P(UrgentDataTest, AtTheBegin) { expect_in_order({{"!", true}, {"GET /"}}); }

TEST_P(UrgentDataTest, InTheMiddle) { expect_in_order({{"GET"}, {"!", true}, {" /"}}); }

TEST_P(UrgentDataTest, AtTheEnd) { expect_in_order({{"GET /"}, {"!", true}}); }

TEST_P(UrgentDataTest, BehindOthersInOnePiece) { expect_in_order({{"GET!", true}, {" /!", true}, {"tail"}}); }

TEST_P(UrgentDataTest, AndNothingElse) { expect_in_order({{"!", true}, {"?", true}, {"#", true}}); }

}  // namespace
}  // namespace evio::test
