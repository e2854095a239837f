// Guarantee 2, under AddressSanitizer: a view of the input that is used after its call fails at once.
#include <string_view>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class InputPoisonTest : public ModeTest {};
EVIO_INSTANTIATE(InputPoisonTest, modes_of(Network::kTcp, {1}));

struct Misuse {
  bool reuse_input_buffer = false;
  bool keep_bytes = false;  // a copy, which is a view only with reuse_input_buffer
};

// Keeps what it gets, and touches it when the wake after it arrives.
void serve_and_use_input_later(Events handlers, const std::string& address, Misuse misuse) {
  std::string_view view;
  Bytes copy;
  volatile char touched = 0;
  handlers.opened = [&](Conn&, Output&, Options& opts) {
    opts.reuse_input_buffer = misuse.reuse_input_buffer;
    return Action::None;
  };
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    if (in.empty()) {
      touched = misuse.keep_bytes ? copy.data()[0] : view[0];
      out = "touched";
    } else {
      view = in.view();
      if (misuse.keep_bytes) copy = in;
      conn.wake();
    }
    return Action::None;
  };
  TestServer server(handlers, address);
  Client client = server.connect();
  client.send_all("a message");
  EXPECT_EQ(client.receive(7), "touched");
}

TEST_P(InputPoisonTest, ACopyMayBeUsedLater) {
  serve_and_use_input_later(events(), address(), {.reuse_input_buffer = false, .keep_bytes = true});
}

#if EVIO_TEST_ADDRESS_SANITIZER

TEST_P(InputPoisonTest, AViewUsedAfterItsCallFails) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(serve_and_use_input_later(events(), address(), {}), "AddressSanitizer");
}

// What is kept of one input must not hide that another is over.
TEST_P(InputPoisonTest, AViewUsedAfterItsCallFailsThoughACopyOfAnotherInputIsKept) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto keep_one_and_use_another = [&] {
    Bytes kept;
    std::string_view view;
    volatile char touched = 0;
    Events handlers = events();
    handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
      if (in.empty()) {
        touched = view[0];
      } else if (kept.empty()) {
        kept = in;
      } else {
        view = in.view();
        conn.wake();
      }
      out = "heard";
      return Action::None;
    };
    TestServer server(handlers, address());
    Client client = server.connect();
    for (int i = 0; i < 2; ++i) {
      client.send_all("a message");
      EXPECT_EQ(client.receive(5), "heard");
    }
    EXPECT_EQ(client.receive(5), "heard");
  };
  EXPECT_DEATH(keep_one_and_use_another(), "AddressSanitizer");
}

TEST_P(InputPoisonTest, ACopyInAReusedBufferUsedAfterItsCallFails) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(serve_and_use_input_later(events(), address(), {.reuse_input_buffer = true, .keep_bytes = true}),
               "AddressSanitizer");
}

#endif

}  // namespace
}  // namespace evio::test
