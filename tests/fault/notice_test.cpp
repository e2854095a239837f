// Guarantee 26, where system calls fail: what is counted, and what is told.
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include "tests/fault/inject.hpp"
#include "tests/support/datagram_client.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class FailureNoticeTest : public ModeTest {
 protected:
  struct Told {
    Notice what;
    Error err;
  };

  Events noting() {
    Events handlers = events();
    handlers.data = echo;
    handlers.notice = [this](Notice what, const Error& err) {
      const std::lock_guard lock(mutex_);
      told_.push_back({what, err});
      counter_.add();
    };
    return handlers;
  }
  Told first() const {
    const std::lock_guard lock(mutex_);
    return told_.front();
  }
  void expect_told(Notice what, int error, const std::string& begin) {
    ASSERT_TRUE(counter_.wait_for(1));
    EXPECT_EQ(first().what, what);
    EXPECT_EQ(first().err.code(), std::error_code(error, std::system_category()));
    EXPECT_TRUE(first().err.message().starts_with(begin)) << first().err.message() << " instead of " << begin;
  }
  void expect_no_more_than_one_a_second(const Stopwatch& watch, std::size_t before = 0) const {
    const auto seconds = static_cast<std::size_t>(watch.milliseconds()) / 1000 + 1;
    EXPECT_LE(counter_.value() - before, seconds * static_cast<std::size_t>(loops()));
  }
  static void expect_echo(Client& client) {
    client.send_all("ping");
    EXPECT_EQ(client.receive(4), "ping");
  }

  Counter counter_;

 private:
  mutable std::mutex mutex_;
  std::vector<Told> told_;
};
EVIO_INSTANTIATE(FailureNoticeTest, modes_of({1, 4}));

TEST_P(FailureNoticeTest, AnAcceptThatFailsIsCountedAndTold) {
  for (const int error : {EMFILE, ENOMEM}) {
    SCOPED_TRACE(error);
    std::atomic<std::uint64_t> failed{0};
    std::atomic<bool> exhausted{true};
    Injection injection([&](Invocation& invocation) {
      if (invocation.call != Call::kAccept4 || !exhausted) return 0;
      ++failed;
      return error;
    });
    const Stopwatch watch;
    const std::size_t before = counter_.value();
    TestServer server(noting(), address());
    Client client = server.connect();
    const std::size_t times = 3 * static_cast<std::size_t>(loops());
    EXPECT_TRUE(eventually([&] { return failed >= times; })) << "the listener is not watched again";
    exhausted = false;
    expect_echo(client);
    const auto counted = [&] { return server.handle().stats().accept_errors; };
    EXPECT_TRUE(eventually([&] { return counted() == failed; })) << counted() << " of " << failed;
    EXPECT_EQ(server.handle().stats().accepted, 1u);
    EXPECT_EQ(server.handle().stats().rejected, 0u);
    if (error == EMFILE) {
      const Addr addr = server.addr();
      expect_told(Notice::AcceptFailed, error,
                  "accept " + addr.network() + ' ' + addr.to_string() + ": " + std::strerror(error));
    }
    EXPECT_TRUE(counter_.wait_for(before + 1));
    expect_no_more_than_one_a_second(watch, before);
  }
}

TEST_P(FailureNoticeTest, WhatConcernsOneConnectionIsNeither) {
  std::atomic<int> calls{0};
  Injection injection(
      [&](Invocation& invocation) { return invocation.call == Call::kAccept4 && calls++ % 2 == 0 ? ECONNABORTED : 0; });
  TestServer server(noting(), address());
  for (int i = 0; i != 5; ++i) {
    Client client = server.connect();
    expect_echo(client);
  }
  EXPECT_EQ(server.handle().stats().accept_errors, 0u);
  EXPECT_EQ(counter_.value(), 0u);
}

TEST_P(FailureNoticeTest, AnAnswerToADatagramThatFailsIsCountedAndTold) {
  std::atomic<bool> failing{true};
  Injection injection(
      [&](Invocation& invocation) { return invocation.call == Call::kSendmmsg && failing ? EPERM : 0; });
  const Stopwatch watch;
  const std::string net = mode().poller == PollerKind::kPortable ? "-net" : "";
  TestServer server(noting(), "udp" + net + "://127.0.0.1:0");
  const auto stats = [&] { return server.handle().stats(); };
  DatagramClient client("127.0.0.1", server.addr().port());
  for (int i = 0; i != 5; ++i) client.send("lost");
  EXPECT_TRUE(eventually([&] { return stats().datagrams_failed == 5; })) << stats().datagrams_failed;
  failing = false;
  client.send("answered");
  EXPECT_EQ(client.receive_text(), "answered");
  EXPECT_EQ(stats().datagrams_read, 6u);
  EXPECT_TRUE(eventually([&] { return stats().datagrams_written == 1; })) << "counted when the call has returned";
  EXPECT_EQ(stats().datagrams_failed, 5u);
  expect_told(Notice::DatagramFailed, EPERM, "sendmmsg udp " + server.addr().to_string() + ": " + std::strerror(EPERM));
  expect_no_more_than_one_a_second(watch);
}

// A socket that is full is no failure: the answers wait.
TEST_P(FailureNoticeTest, AnAnswerThatWaitsIsNeither) {
  std::atomic<int> full{3};
  Injection injection(
      [&](Invocation& invocation) { return invocation.call == Call::kSendmmsg && full.fetch_sub(1) > 0 ? EAGAIN : 0; });
  const std::string net = mode().poller == PollerKind::kPortable ? "-net" : "";
  TestServer server(noting(), "udp" + net + "://127.0.0.1:0");
  DatagramClient client("127.0.0.1", server.addr().port());
  client.send("late");
  EXPECT_EQ(client.receive_text(), "late");
  EXPECT_LE(full, 0);
  EXPECT_EQ(server.handle().stats().datagrams_failed, 0u);
  EXPECT_EQ(counter_.value(), 0u);
}

}  // namespace
}  // namespace evio::test
