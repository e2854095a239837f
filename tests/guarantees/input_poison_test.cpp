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
TEST_P(InputPoisonTest, AViewFailsAfterItsCallDespiteAKeptCopy) {
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

/// The call that uses what an earlier one was given.
enum class Later { kNextInput, kInputOfAnother, kWake, kClosed, kTick };

// The later input is longer than the first one: it would lie over all of it in a buffer that is used again.
void use_input_later(Events handlers, const std::string& address, Later later, Misuse misuse) {
  std::string_view view;
  Bytes copy;
  volatile char touched = 0;
  Gate ticked_later;
  const auto touch = [&](Later now) {
    if (now == later && !view.empty()) touched = misuse.keep_bytes ? copy.data()[0] : view[0];
  };
  handlers.opened = [&](Conn&, Output&, Options& opts) {
    opts.reuse_input_buffer = misuse.reuse_input_buffer;
    return Action::None;
  };
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    touch(in.empty() ? Later::kWake : in == "another's" ? Later::kInputOfAnother : Later::kNextInput);
    if (view.empty()) {
      view = in.view();
      if (misuse.keep_bytes) copy = in;
      if (later == Later::kWake) conn.wake();
    }
    out = "heard";
    return Action::None;
  };
  handlers.closed = [&](Conn&, const Error&) {
    touch(Later::kClosed);
    return Action::None;
  };
  handlers.tick = [&](std::chrono::nanoseconds& delay) {
    touch(Later::kTick);
    if (!view.empty()) ticked_later.open();
    delay = std::chrono::milliseconds(1);
    return Action::None;
  };
  TestServer server(handlers, address);
  Client client = server.connect();
  client.send_all("first");
  EXPECT_EQ(client.receive(5), "heard");
  Client another = server.connect();
  another.send_all("another's");
  EXPECT_TRUE(ticked_later.wait());
  if (later != Later::kClosed) client.send_all("a second one");
  client.shutdown_write();
  client.receive_all();
  another.receive(5);
}

TEST_P(InputPoisonTest, AViewFailsInWhateverCallItIsUsed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const Later later : {Later::kNextInput, Later::kInputOfAnother, Later::kWake, Later::kClosed, Later::kTick}) {
    EXPECT_DEATH(use_input_later(events(), address(), later, {}), "heap-use-after-free") << static_cast<int>(later);
  }
}

TEST_P(InputPoisonTest, ACopyOfAReusedBufferFailsInEveryCall) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const Later later : {Later::kNextInput, Later::kInputOfAnother, Later::kWake, Later::kClosed, Later::kTick}) {
    EXPECT_DEATH(use_input_later(events(), address(), later, {.reuse_input_buffer = true, .keep_bytes = true}),
                 "heap-use-after-free")
        << static_cast<int>(later);
  }
}

#endif

}  // namespace
}  // namespace evio::test
