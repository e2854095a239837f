// Guarantee 26: what no other callback tells of is a notice, once a second at most for each kind and loop. Of failures:
// fault/notice_test.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;

class NoticeTest : public ModeTest {
 protected:
  Events noting() {
    Events handlers = events();
    handlers.notice = [this](Notice what, const Error& err) {
      EXPECT_TRUE(err);
      const std::lock_guard lock(mutex_);
      kinds_.push_back(what);
      messages_.push_back(err.message());
      counter_.add();
    };
    return handlers;
  }
  // The first notice that begins so; empty if there is none.
  std::string told(std::string_view begin) const {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find_if(messages_, [&](const auto& text) { return text.starts_with(begin); });
    return found == messages_.end() ? "" : *found;
  }
  std::vector<std::string> messages() const {
    const std::lock_guard lock(mutex_);
    return messages_;
  }
  std::vector<Notice> kinds() const {
    const std::lock_guard lock(mutex_);
    return kinds_;
  }
  // A second has this many at most, of one kind.
  static std::size_t most(const Stopwatch& watch) {
    return (static_cast<std::size_t>(watch.milliseconds()) / 1000 + 1) * static_cast<std::size_t>(loops());
  }

  Counter counter_;

 private:
  mutable std::mutex mutex_;
  std::vector<Notice> kinds_;
  std::vector<std::string> messages_;
};
EVIO_INSTANTIATE(NoticeTest, all_modes());

TEST_P(NoticeTest, ARejectedConnectionIsCountedAndTold) {
  Events handlers = noting();
  handlers.accepting = [](int, const Addr&) { return false; };
  const Stopwatch watch;
  TestServer server(handlers, address());
  for (int i = 0; i < 5; ++i) {
    Client client(server.addr(), {.may_be_refused = true});
    client.receive_all();
  }
  ASSERT_TRUE(counter_.wait_for(1));
  EXPECT_EQ(server.handle().stats().rejected, 5u);
  EXPECT_EQ(server.handle().stats().accepted, 0u);
  EXPECT_LE(counter_.value(), most(watch)) << "once a second for each loop";
  EXPECT_EQ(kinds().front(), Notice::Rejected);
  EXPECT_NE(messages().front().find("accepting returned false"), std::string::npos) << messages().front();
}

// Both kinds are of one loop, and of one connection.
TEST_P(NoticeTest, OneKindDoesNotHoldBackAnother) {
  Events handlers = noting();
  handlers.slow_callback = 1ns;
  handlers.accepting = [](int, const Addr&) { return false; };
  TestServer server(handlers, address());
  Client client(server.addr(), {.may_be_refused = true});
  EXPECT_TRUE(counter_.wait_for(2));
  EXPECT_EQ(std::ranges::count(kinds(), Notice::SlowCallback), 1);
  EXPECT_EQ(std::ranges::count(kinds(), Notice::Rejected), 1);
}

TEST_P(NoticeTest, AnExceptionOfItShutsTheServerDown) {
  Events handlers = events();
  handlers.accepting = [](int, const Addr&) { return false; };
  handlers.notice = [](Notice, const Error&) { throw std::runtime_error("of notice"); };
  TestServer server(handlers, address());
  Client client(server.addr(), {.may_be_refused = true});
  client.receive_all();
  server.wait();
  EXPECT_EQ(server.thrown_message(), "of notice");
}

// Each function is slow: one is told of, and the next notice says of how many nobody was told.
TEST_P(NoticeTest, SaysHowManyWereLeftOut) {
  std::atomic<std::size_t> ran{0};
  std::vector<std::size_t> ran_at_notice;
  std::chrono::steady_clock::time_point last;
  Events handlers = noting();
  handlers.slow_callback = 1ns;
  handlers.notice = [&, note = std::move(handlers.notice)](Notice what, const Error& err) {
    ran_at_notice.push_back(ran);
    last = std::chrono::steady_clock::now();
    note(what, err);
  };
  TestServer server(handlers, address());
  const auto begin = std::chrono::steady_clock::now();
  while (counter_.value() < 2) {
    const std::size_t before = ran;
    ASSERT_TRUE(server.handle().post(0, [&] {
      ++ran;
      return Action::None;
    }));
    ASSERT_TRUE(eventually([&] { return ran > before; }));
  }
  server.shutdown();
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(ran_at_notice.front(), 1u);
  EXPECT_GE(last - begin, 1s);
  const std::string left_out = "(and " + std::to_string(ran_at_notice.at(1) - 2) + " more since the last notice)";
  EXPECT_TRUE(messages().at(1).ends_with(left_out)) << messages().at(1) << " instead of " << left_out;
}

/// One callback blocks for longer than slow_callback. Others may take as long where there is no processor for them, and
/// then a second passes until this one is told of: what calls it is done over and over.
class SlowCallbackTest : public NoticeTest {
 protected:
  static constexpr auto kSlow = 20ms;

  void SetUp() override {
    NoticeTest::SetUp();
    slow_ = "";
  }
  void run(std::string_view name) const {
    if (name == slow_) std::this_thread::sleep_for(kSlow + 1ms);
  }
  Events watched() {
    Events handlers = noting();
    handlers.slow_callback = kSlow;
    handlers.data = [this](Conn& conn, const Bytes& in, Output& out) {
      run("data");
      out = in;
      if (slow_ == "data") conn = Conn();  // it is told of all the same
      return slow_ == "detached" ? Action::Detach : Action::None;
    };
    handlers.opened = [this](Conn& conn, Output&, Options& opts) {
      conn_ = conn;
      opts.half_open = slow_ == "ended";
      if (slow_ == "timeout") opts.idle_timeout = 1ms;
      run("opened");
      opened_.add();
      return Action::None;
    };
    handlers.closed = [this](Conn&, const Error&) {
      run("closed");
      return Action::None;
    };
    return handlers;
  }
  // Those that most connections do without, where it is one of them.
  void add_slow(Events& handlers) {
    if (slow_ == "pre_write") handlers.pre_write = [this] { run("pre_write"); };
    if (slow_ == "ended") {
      handlers.ended = [this](Conn&, Output&) {
        run("ended");
        return Action::Close;
      };
    }
    if (slow_ == "timeout") {
      handlers.timeout = [this](Conn&, Timeout, Output&) {
        run("timeout");
        return Action::None;
      };
    }
    if (slow_ == "detached") {
      handlers.detached = [this](Conn&, DetachedConn) {
        run("detached");
        return Action::None;
      };
    }
    if (slow_ == "accepting") {
      handlers.accepting = [this](int, const Addr&) {
        run("accepting");
        return true;
      };
    }
    if (slow_ == "tick") {
      handlers.tick = [this](std::chrono::nanoseconds& delay) {
        delay = 1ms;
        run("tick");
        return Action::None;
      };
    }
  }
  // Everything that a connection may call, and a function for it and for its loop.
  void visit(const TestServer& server) {
    const std::size_t before = opened_.value();
    Client client = server.connect();
    {
      const std::lock_guard lock(names_mutex_);
      names_.push_back(client.local_name());
    }
    ASSERT_TRUE(opened_.wait_for(before + 1));
    const auto function = [this](const char* name) {
      return [this, name](Conn& conn, Output&) {
        run(name);
        if (slow_ == "post") conn = Conn();
        return Action::None;
      };
    };
    conn_.post(function("post"));
    conn_.post_after(0ns, function("post_after"));
    client.send_all("x");
    EXPECT_EQ(client.receive(1), "x");
    client.shutdown_write();
    client.receive_all();
  }
  bool names_a_client(const std::string& message) const {
    if (!mode().is_tcp()) return message.find(" unix ") != std::string::npos;
    const std::lock_guard lock(names_mutex_);
    return std::ranges::any_of(
        names_, [&](const auto& name) { return message.find("->" + name + ": took ") != std::string::npos; });
  }
  // The notice about that callback, which is called again and again until it comes.
  std::string notice_about(const std::string& name) {
    slow_ = name;
    Events handlers = watched();
    add_slow(handlers);
    TestServer server(handlers, address());
    const auto is_told = [&] {
      visit(server);
      return HasFatalFailure() || !told(name + " ").empty();
    };
    EXPECT_TRUE(eventually(is_told)) << name;
    return told(name + " ");
  }

  std::string slow_;
  Conn conn_;  // the last one that was opened
  Counter opened_;

 private:
  mutable std::mutex names_mutex_;
  std::vector<std::string> names_;
};
EVIO_INSTANTIATE(SlowCallbackTest, all_modes());

TEST_P(SlowCallbackTest, IsNamedWithItsConnection) {
  for (const char* name : {"opened", "data", "closed", "detached", "timeout", "ended", "post", "post_after"}) {
    const std::string notice = notice_about(name);
    EXPECT_TRUE(names_a_client(notice)) << notice;
  }
  EXPECT_EQ(std::ranges::count(kinds(), Notice::SlowCallback), static_cast<std::ptrdiff_t>(kinds().size()));
}

TEST_P(SlowCallbackTest, AboutNoConnectionIsNamedWithItsLoop) {
  for (const char* name : {"pre_write", "tick"}) {
    const std::string notice = notice_about(name);
    EXPECT_NE(notice.find(" loop "), std::string::npos) << notice;
  }
  const std::string notice = notice_about("accepting");
  EXPECT_TRUE(notice.starts_with(mode().is_tcp() ? "accepting tcp 127.0.0.1:" : "accepting unix ")) << notice;
}

TEST_P(SlowCallbackTest, UnreachableIsNamedWithItsAddress) {
  slow_ = "unreachable";
  Events handlers = watched();
  Counter failed;
  handlers.unreachable = [&](Conn&, const Error&) {
    run("unreachable");
    failed.add();
  };
  TestServer server(handlers, address());
  const std::string nobody = "unix://" + path("nobody");
  std::size_t dialed = 0;
  EXPECT_TRUE(eventually([&] {
    server.handle().dial(nobody);
    return !failed.wait_for(++dialed) || !told("unreachable ").empty();
  }));
  EXPECT_NE(told("unreachable ").find("nobody: took "), std::string::npos) << told("unreachable ");
}

TEST_P(SlowCallbackTest, CongestedAndDrainedAreNamedToo) {
  const Bytes much(pattern(8'000'000));  // shared, as a copy might take `data` so long that it is told of instead
  for (const std::string name : {"congested", "drained"}) {
    slow_ = name;
    Events handlers = watched();
    handlers.data = [&](Conn&, const Bytes&, Output& out) {
      out = much;
      return Action::None;
    };
    handlers.congested = [this](Conn&) {
      run("congested");
      return Action::None;
    };
    handlers.drained = [this](Conn&, Output&) {
      run("drained");
      return Action::Close;
    };
    TestServer server(handlers, address());
    EXPECT_TRUE(eventually([&] {
      Client client(server.addr(), {.receive_buffer = 131'072});
      client.send_all("x");
      EXPECT_EQ(client.receive_all().size(), much.size());
      return HasFailure() || !told(name + " ").empty();
    })) << name;
    EXPECT_NE(told(name + " ").find("->"), std::string::npos) << told(name + " ");
  }
}

// No other callback is there, so nothing else is told of.
TEST_P(SlowCallbackTest, FunctionsOfALoopAndStoppingAreNamedWithTheLoop) {
  for (int loop = 0; loop != loops(); ++loop) {
    for (const bool later : {false, true}) {
      const std::size_t before = counter_.value();
      Events handlers = noting();
      handlers.slow_callback = 1ns;
      TestServer server(handlers, address());
      const auto function = [] { return Action::None; };
      if (later) {
        server.handle().post_after(loop, 0ns, function);
      } else {
        EXPECT_TRUE(server.handle().post(loop, function));
      }
      ASSERT_TRUE(counter_.wait_for(before + 1));
      const std::string expected = (later ? "post_after loop " : "post loop ") + std::to_string(loop) + ": took ";
      EXPECT_TRUE(messages().back().starts_with(expected)) << messages().back();
    }
  }
  const std::size_t before = counter_.value();
  Events handlers = noting();
  handlers.slow_callback = 1ns;
  handlers.stopping = [](const Server&) {};
  {
    const TestServer server(handlers, address());
    // It is called where the loops run by then; this only wakes loop 0.
    server.handle().post_after(0, 1h, [] { return Action::None; });
    EXPECT_TRUE(eventually([&] { return server.handle().stats(0).turns != 0; }));
    server.shutdown();
  }
  EXPECT_EQ(counter_.value(), before + 1);
  EXPECT_TRUE(messages().back().starts_with("stopping loop 0: took ")) << messages().back();
}

TEST_P(SlowCallbackTest, OneThatIsNotIsNotToldOf) {
  Events handlers = watched();
  handlers.slow_callback = 1h;
  TestServer server(handlers, address());
  for (int i = 0; i != 20; ++i) visit(server);
  EXPECT_EQ(messages(), std::vector<std::string>());
}

}  // namespace
}  // namespace evio::test
