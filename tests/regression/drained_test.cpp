// A send is taken back after the loop has seen its bytes pending, and nothing else.
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "tests/support/allocation_hook.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

// Of this thread. Its answer is whether that allocation fails.
thread_local std::function<bool()>* at_next_allocation = nullptr;

}  // namespace

bool allocation_fails() {
  auto* const act = std::exchange(at_next_allocation, nullptr);
  return act != nullptr && (*act)();
}

namespace {

class DrainedRegressionTest : public ModeTest {
 protected:
  // Sends on a thread of its own, and runs `meanwhile` once what is sent has been counted.
  static bool send_meeting(const Conn& conn, std::function<bool()> meanwhile) {
    bool sent = true;
    std::thread([&] {
      at_next_allocation = &meanwhile;
      sent = conn.send("x");
      EXPECT_EQ(at_next_allocation, nullptr) << "it has not happened within the call";
    }).join();
    return sent;
  }

  // Returns when each loop has done what it was at.
  static void look_again(const Server& server) {
    Counter looked;
    for (int i = 0; i != server.num_loops(); ++i) {
      EXPECT_TRUE(server.post(i, [&] {
        looked.add();
        return Action::None;
      }));
    }
    EXPECT_TRUE(looked.wait_for(static_cast<std::size_t>(server.num_loops())));
  }
};
EVIO_INSTANTIATE(DrainedRegressionTest, with_tls(all_modes()));

TEST_P(DrainedRegressionTest, IsCalledThoughASendIsTakenBack) {
  const std::string much = pattern(8'000'000);  // more than sockets hold
  for (const bool ends : {false, true}) {
    SCOPED_TRACE(ends ? "the output ends" : "there is no memory");
    Conn conn;
    Counter congested;
    Counter drained;
    Events handlers = events();
    handlers.opened = [&](Conn& mine, Output& out, Options&) {
      conn = mine;
      out.append(much);
      return Action::None;
    };
    handlers.congested = [&](Conn&) {
      congested.add();
      return Action::None;
    };
    handlers.drained = [&](Conn&, Output&) {
      drained.add();
      return Action::None;
    };
    TestServer server(handlers, address());
    Client client = server.connect();
    ASSERT_TRUE(congested.wait_for(1));
    const bool sent = send_meeting(conn, [&] {
      if (ends) {
        EXPECT_TRUE(conn.close_write());
      }
      EXPECT_EQ(client.receive(much.size()).size(), much.size());
      EXPECT_TRUE(eventually([&] { return conn.pending() == 1; }));
      look_again(server.handle());
      EXPECT_EQ(drained.value(), 0u);
      return !ends;
    });
    EXPECT_FALSE(sent);
    EXPECT_TRUE(drained.wait_for(1));
    conn = {};
  }
}

}  // namespace
}  // namespace evio::test
