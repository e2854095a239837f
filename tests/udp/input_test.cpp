// Guarantee 2 for datagrams: a copy of the input stays as it is; under AddressSanitizer a view that is used after its
// call fails at once.
#include <atomic>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/datagram_fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class UdpInputTest : public DatagramTest {};
EVIO_INSTANTIATE_DATAGRAMS(UdpInputTest, all_datagram_modes());

TEST_P(UdpInputTest, WhatIsKeptStaysUnchangedWhileMoreArrives) {
  constexpr unsigned kCount = 100;
  std::mutex mutex;
  std::vector<Bytes> kept;
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    // Some are kept, some are let go of: their storage is used again, the others' is not.
    const std::lock_guard lock(mutex);
    if (in.size() % 3 != 0) kept.push_back(in.substr(1));
    return echo(conn, in, out);
  };
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  std::vector<std::string> expected;
  for (unsigned i = 0; i != kCount; ++i) {
    const std::string text = pattern(1 + i * 17, i);
    if (text.size() % 3 != 0) expected.push_back(text.substr(1));
    client.send(text);
    if (i % 10 != 9) continue;
    for (unsigned n = 0; n != 10; ++n) client.receive();
  }
  const std::lock_guard lock(mutex);
  ASSERT_EQ(kept.size(), expected.size());
  for (std::size_t i = 0; i != kept.size(); ++i) EXPECT_TRUE(kept[i] == expected[i]) << i;
}

TEST_P(UdpInputTest, KeptInputIsAnsweredFromAnotherThread) {
  std::mutex mutex;
  std::vector<std::pair<Conn, Bytes>> jobs;
  Counter added;
  std::atomic<bool> stop{false};
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes& in, Output&) {
    const std::lock_guard lock(mutex);
    jobs.emplace_back(conn, in);
    added.add();
    return Action::None;
  };
  TestServer server(handlers, address());
  std::thread worker([&] {
    for (std::size_t done = 0; added.wait_for(done + 1) && !stop.load();) {
      std::vector<std::pair<Conn, Bytes>> taken;
      {
        const std::lock_guard lock(mutex);
        taken.swap(jobs);
      }
      for (const auto& [conn, in] : taken) EXPECT_TRUE(conn.send(in));
      done += taken.size();
    }
  });
  DatagramClient client = connect(server);
  for (unsigned round = 0; round != 20; ++round) {
    for (unsigned i = 0; i != 10; ++i) client.send(pattern(2000, round * 10 + i));
    for (unsigned i = 0; i != 10; ++i) EXPECT_TRUE(client.receive_text() == pattern(2000, round * 10 + i));
  }
  stop = true;
  added.add();
  worker.join();
}

// A large output that is the input itself is shared, not copied, and still right when the storage is used again.
TEST_P(UdpInputTest, AnAnswerMayBeTheInputItself) {
  Events handlers = events();
  handlers.data = echo;
  TestServer server(handlers, address());
  DatagramClient client = connect(server);
  for (unsigned round = 0; round != 10; ++round) {
    for (unsigned i = 0; i != 4; ++i) client.send(pattern(20'000, round * 4 + i));
    for (unsigned i = 0; i != 4; ++i) EXPECT_TRUE(client.receive_text() == pattern(20'000, round * 4 + i));
  }
}

#if EVIO_TEST_ADDRESS_SANITIZER

// Both datagrams come in one batch: the view is used in the very next call.
void use_a_view_of_the_datagram_before(Events handlers, const std::string& address, const std::string& ip) {
  std::string_view view;
  volatile char touched = 0;
  Gate held;
  handlers.data = [&](Conn&, const Bytes& in, Output& out) {
    EXPECT_TRUE(held.wait());
    if (in == "second") touched = view[0];
    view = in.view();
    out = "touched";
    return Action::None;
  };
  TestServer server(handlers, address);
  DatagramClient client(ip, server.addr().port());
  for (const char* text : {"let the others gather", "first", "second"}) client.send(text);
  held.open();
  for (int i = 0; i != 3; ++i) client.receive();
}

TEST_P(UdpInputTest, AViewUsedAfterItsCallFails) {
  if (mode().loops != 1) return;
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(use_a_view_of_the_datagram_before(events(), address(), mode().ip), "AddressSanitizer");
}

// The second one, longer than the first, is of another batch.
void use_a_view_of_an_earlier_batch(Events handlers, const std::string& address, const std::string& ip) {
  std::string_view view;
  volatile char touched = 0;
  handlers.data = [&](Conn&, const Bytes& in, Output& out) {
    if (in == "the second one") touched = view[0];
    view = in.view();
    out = "heard";
    return Action::None;
  };
  TestServer server(handlers, address);
  DatagramClient client(ip, server.addr().port());
  for (const char* text : {"first", "the second one"}) {
    client.send(text);
    EXPECT_EQ(client.receive_text(), "heard");
  }
}

TEST_P(UdpInputTest, AViewUsedInALaterBatchFails) {
  if (mode().loops != 1) return;
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(use_a_view_of_an_earlier_batch(events(), address(), mode().ip), "heap-use-after-free");
}

#endif

}  // namespace
}  // namespace evio::test
