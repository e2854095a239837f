#include "evio/server.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "evio/evio.hpp"

namespace evio {
namespace {

TEST(ServerOfNothingTest, DoesNothing) {
  const Server server;
  EXPECT_TRUE(server.addrs().empty());
  EXPECT_EQ(server.num_loops(), 0);
  server.shutdown();
  server.shutdown();
  const Server copy = server;
  copy.shutdown();
}

TEST(ServeTest, WithoutAnAddressIsAnError) {
  EXPECT_TRUE(serve(Events{}));
  const std::vector<std::string> none;
  const Error err = serve(Events{}, none);
  EXPECT_EQ(err.code(), std::errc::invalid_argument);
  EXPECT_NE(err.message(), "");
}

TEST(ServeTest, AHandleOutlivesItsServer) {
  Server kept;
  Events events;
  events.num_loops = 3;
  events.serving = [&](const Server& server) {
    kept = server;
    EXPECT_EQ(server.num_loops(), 3);
    return Action::Shutdown;
  };
  const std::vector<std::string> addresses{"tcp://127.0.0.1:0", "udp://127.0.0.1:0"};
  ASSERT_FALSE(serve(events, addresses));
  ASSERT_EQ(kept.addrs().size(), 2u);
  EXPECT_EQ(kept.addrs()[0].network(), "tcp");
  EXPECT_EQ(kept.addrs()[1].network(), "udp");
  EXPECT_NE(kept.addrs()[0].port(), 0);
  EXPECT_EQ(kept.num_loops(), 3);
  kept.shutdown();
}

TEST(ServeTest, TakesWhateverIsTextAndEveryRangeOfStrings) {
  int served = 0;
  Events events;
  events.serving = [&](const Server& server) {
    served += static_cast<int>(server.addrs().size());
    return Action::Shutdown;
  };
  const std::string string = "tcp://127.0.0.1:0";
  EXPECT_FALSE(serve(events, string, std::string_view("udp4://:0"), "127.0.0.1:0"));
  const std::array<std::string, 2> array{string, string};
  EXPECT_FALSE(serve(events, array));
  EXPECT_FALSE(serve(events, std::vector<std::string>{string}));
  EXPECT_EQ(served, 6);
}

}  // namespace
}  // namespace evio
