// Another thread ends a connection's output, or closes it, within a send that the loop makes to it.
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "tests/support/allocation_hook.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

// Of this thread.
thread_local std::function<void()>* at_next_allocation = nullptr;

}  // namespace

bool allocation_fails() {
  if (auto* const act = std::exchange(at_next_allocation, nullptr)) (*act)();
  return false;
}

namespace {

class OutputEndRegressionTest : public ModeTest {};
EVIO_INSTANTIATE(OutputEndRegressionTest, modes_of({1}));  // both connections are of one loop

TEST_P(OutputEndRegressionTest, WhatIsSentMeanwhileIsRefusedOrArrives) {
  const std::string much = pattern(50'000);  // large enough to be copied before it is queued
  for (const bool closes : {false, true}) {
    SCOPED_TRACE(closes);
    Conn target;
    bool sent = false;
    bool ended = false;
    Gate tried;
    Counter closed;
    Events handlers = events();
    handlers.data = [&](Conn& conn, const Bytes& in, Output&) {
      if (in == "target") target = conn;
      if (in != "send") return Action::None;
      std::function<void()> end = [&] {
        std::thread([&] { ended = closes ? target.close() : target.close_write(); }).join();
      };
      at_next_allocation = &end;
      sent = target.send(std::string_view(much));
      EXPECT_EQ(at_next_allocation, nullptr) << "it has not happened within the call";
      tried.open();
      return Action::None;
    };
    handlers.closed = [&](Conn&, const Error& err) {
      EXPECT_FALSE(err) << err.message();
      closed.add();
      return Action::None;
    };
    TestServer server(handlers, address());
    Client receiver = server.connect();
    receiver.send_all("target");
    Client sender = server.connect();
    ASSERT_TRUE(eventually([&] { return server.handle().stats().bytes_read == 6; }));
    sender.send_all("send");
    ASSERT_TRUE(tried.wait());
    EXPECT_TRUE(ended);
    EXPECT_TRUE(receiver.receive_all() == (sent ? much : "")) << sent;
    EXPECT_TRUE(receiver.at_end());
    EXPECT_TRUE(all_sleep());
    EXPECT_EQ(target.pending(), 0u);
    receiver.shutdown_write();
    EXPECT_TRUE(closed.wait_for(1));
    target = {};
  }
}

}  // namespace
}  // namespace evio::test
