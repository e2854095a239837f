// Memory runs out in a loop's thread, at every allocation the library makes there: it costs the connection it was for.
// And where a server starts: it says what is missing.
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/fault/failing_memory.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class AllocationFailureTest : public FailingMemoryTest {
 protected:
  Events handlers() {
    Events handlers = events();
    handlers.serving = [](const Server&) {
      may_fail = true;
      return Action::None;
    };
    handlers.opened = [this](Conn& conn, Output& out, Options& opts) {
      may_fail = true;  // on the other loops, too
      const Untouched mine;
      const std::lock_guard lock(mutex_);
      if (conns_.size() % 2 == 1) opts.idle_timeout = opts.write_timeout = kLong;  // not the bystander's
      conns_.push_back(conn);
      opened_.add();
      out = "+";
      return Action::None;
    };
    handlers.closed = [this](Conn& conn, const Error&) {
      const Untouched mine;
      const std::lock_guard lock(mutex_);
      std::erase(conns_, conn);
      closed_.add();
      return Action::None;
    };
    handlers.detached = [this](Conn& conn, DetachedConn) {
      const Untouched mine;
      const std::lock_guard lock(mutex_);
      std::erase(conns_, conn);
      closed_.add();
      return Action::None;
    };
    handlers.data = [this](Conn& conn, const Bytes& in, Output& out) { return hear(conn, in, out); };
    return handlers;
  }

  Action hear(Conn& conn, const Bytes& in, Output& out) {
    if (in == "large") out.append(large_);  // shared
    if (in == "large close") {
      out.append(large_);
      return Action::Close;  // while it waits
    }
    if (in == "text") out.append(large_.view());  // copied: by the library, in its buffer
    if (in == "wake") conn.wake();
    if (in == "send") conn.send(large_);
    if (in == "expire") conn.expires_after(kLong);
    if (in == "expired") conn.expires_after(std::chrono::nanoseconds(1));
    if (in == "abort") conn.abort();
    if (in == "close") return Action::Close;
    if (in == "detach") return Action::Detach;
    const Untouched mine;
    if (in == "throw") throw std::runtime_error("an error whose message is longer than a short string may be");
    if (in == "keep") kept_.push_back(in);
    if (in.empty()) out = "woken";
    return Action::None;
  }

  static void expect_woken(Client& client) {
    client.send_all("wake");
    EXPECT_EQ(client.receive(5), "woken");
  }

  // Everything there is to allocate for. What the clients get depends on what fails.
  void exercise(const TestServer& server) {
    static constexpr std::array kWhat{"large", "text",   "wake",    "send",  "close",       "detach", "throw",
                                      "keep",  "expire", "expired", "abort", "large close", ""};
    std::vector<Client> clients;
    while (clients.size() < kWhat.size()) clients.emplace_back(server.addr(), kSmall);
    for (std::size_t i = 0; i < clients.size(); ++i) {
      // A connection for which there was no memory ends without a word, or before it has shaken hands.
      if (clients[i].connected() && clients[i].receive(1) == "+") clients[i].send_all(kWhat[i]);
    }
    std::vector<Conn> conns;
    {
      const std::lock_guard lock(mutex_);
      conns.assign(conns_.begin() + 1, conns_.end());  // without the bystander
    }
    for (const Conn& conn : conns) {
      conn.wake();
      conn.send(large_);
      conn.expires_after(kLong);
    }
    if (!conns.empty()) conns.back().abort();
    for (Client& client : clients) {
      if (!client.connected()) continue;
      client.shutdown_write();
      client.receive_all();
    }
  }

  // Exercises a server with `count` allocations in a row failing after n. Returns whether there were any.
  bool fail_after(int n, int count) {
    SCOPED_TRACE(std::to_string(count) + " after " + std::to_string(n));
    const std::string where = address();
    TestServer server(handlers(), where);
    Client bystander = server.connect();
    EXPECT_EQ(bystander.receive(1), "+");
    expect_woken(bystander);  // all there is to allocate for it is
    fail_allocations(n, count);
    exercise(server);
    const bool some_failed = fail_no_more() > 0;
    // Whoever had no part in it, and whoever comes later, is served.
    Client late = server.connect();
    EXPECT_EQ(late.receive(1), "+");
    expect_woken(bystander);
    expect_woken(late);
    server.shutdown();
    EXPECT_FALSE(server.wait());
    EXPECT_EQ(opened_.value(), closed_.value());
    kept_.clear();
    return some_failed;
  }

  void fail_everywhere(int count) {
    int n = 0;
    while (fail_after(n, count) && !HasFailure()) n += 1 + n / 4;  // the first ones matter most
    EXPECT_GT(n, 5);
  }

  static constexpr Client::Tuning kSmall{.receive_buffer = 65'536, .may_be_refused = true};
  static constexpr std::chrono::hours kLong{1};
  const Bytes large_{pattern(400'000)};
  std::mutex mutex_;
  std::vector<Conn> conns_;
  std::vector<Bytes> kept_;
  Counter opened_;
  Counter closed_;
};
EVIO_INSTANTIATE(AllocationFailureTest, with_tls(modes_of({1})));

TEST_P(AllocationFailureTest, OneAtATime) { fail_everywhere(1); }
TEST_P(AllocationFailureTest, TwoInARow) { fail_everywhere(2); }
TEST_P(AllocationFailureTest, ManyInARow) { fail_everywhere(10); }

class StartWithoutMemoryTest : public FailingMemoryTest {
 protected:
  // Serves, on a thread of its own, with the n-th allocation failing from `when` on. True when there was an n-th.
  bool fail_nth(int n, bool when_serving) {
    SCOPED_TRACE("allocation " + std::to_string(n) + (when_serving ? " after serving" : ""));
    const std::string where = address();
    const std::string file = path("s" + std::to_string(n));
    Server handle;
    Events handlers = events();
    const auto begin_to_fail = [n] {
      fail_allocations(n);
      may_fail = true;
    };
    handlers.serving = [&](const Server& server) {
      may_fail = false;
      handle = server;
      if (!when_serving) return Action::Shutdown;
      begin_to_fail();
      return Action::None;
    };
    handlers.tick = [&](std::chrono::nanoseconds&) {
      may_fail = false;
      return Action::Shutdown;
    };
    Error err;
    std::thread([&] {
      const std::string net = mode().poller == PollerKind::kPortable ? "-net" : "";
      const std::vector<std::string> addrs{where, "unix" + net + "://" + file};
      if (!when_serving) begin_to_fail();
      err = serve(std::move(handlers), addrs);
      may_fail = false;
    }).join();
    const bool some_failed = fail_no_more() != 0;
    EXPECT_EQ(static_cast<bool>(err), some_failed && err.code() == std::errc::not_enough_memory) << err.message();
    EXPECT_FALSE(std::filesystem::exists(file)) << "the socket's file is left";
    EXPECT_EQ(baseline().difference(), "");
    return some_failed;
  }
};
EVIO_INSTANTIATE(StartWithoutMemoryTest, modes_of(Network::kTcp, {1, 4}));

TEST_P(StartWithoutMemoryTest, SetsNothingUpOrSaysWhatIsMissing) {
  int n = 0;
  while (fail_nth(n, false) && n < 500) ++n;
  EXPECT_GT(n, 20);
  EXPECT_LT(n, 500);
}

TEST_P(StartWithoutMemoryTest, RunsOrSaysWhatIsMissing) {
  int n = 0;
  while (fail_nth(n, true) && n < 500) ++n;
  EXPECT_LT(n, 500);
}

}  // namespace
}  // namespace evio::test
