// Memory runs out in a loop's thread, at every allocation the library makes there: it costs the connection it was for.
// And in a thread that has a word for a loop: the loop looks for itself what that was about.
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "internal/base/sanitizer.hpp"
#include "tests/support/fate.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace {

// Allocations fail on a thread that says so, while `failures` are left, once `before` of them were made.
thread_local bool may_fail = false;
std::atomic<int> before{0};
std::atomic<int> failures{0};
std::atomic<int> failed{0};

bool fails_now() {
  if (!may_fail || failures.load() == 0 || before.fetch_sub(1) > 0) return false;
  --failures;
  ++failed;
  return true;
}

/// What the handlers themselves allocate is not at stake.
class Untouched {
 public:
  Untouched() : saved_(may_fail) { may_fail = false; }
  ~Untouched() { may_fail = saved_; }
  Untouched(const Untouched&) = delete;
  Untouched& operator=(const Untouched&) = delete;

 private:
  bool saved_;
};

}  // namespace

extern "C" {
void* __real_malloc(std::size_t size);
void* __wrap_malloc(std::size_t size) { return fails_now() ? nullptr : __real_malloc(size); }
void* __real_mmap(void* at, std::size_t size, int protection, int flags, int fd, off_t offset);
void* __wrap_mmap(void* at, std::size_t size, int protection, int flags, int fd, off_t offset) {
  if (!fails_now()) return __real_mmap(at, size, protection, flags, fd, offset);
  errno = ENOMEM;
  return MAP_FAILED;
}
void* __real_realloc(void* old, std::size_t size);
void* __wrap_realloc(void* old, std::size_t size) { return fails_now() ? nullptr : __real_realloc(old, size); }
}

void* operator new(std::size_t size) {
  if (void* const p = fails_now() ? nullptr : __real_malloc(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return fails_now() ? nullptr : __real_malloc(size == 0 ? 1 : size);
}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"  // they are a pair with what is above
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
#pragma GCC diagnostic pop

namespace evio::test {
namespace {

class AllocationFailureTest : public ModeTest {
 protected:
  void TearDown() override {
    failures = 0;
    ModeTest::TearDown();
  }

  Events handlers() {
    Events handlers = events();
    handlers.serving = [](const Server&) {
      may_fail = true;
      return Action::None;
    };
    handlers.opened = [this](Conn& conn, Output& out, Options& opts) {
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
      char plus = 0;
      // A connection for which there was no memory ends without a word.
      if (::recv(clients[i].fd(), &plus, 1, 0) == 1) clients[i].send_all(kWhat[i]);
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
    failed = 0;
    before = n;
    failures = count;
    exercise(server);
    failures = 0;
    const bool some_failed = failed > 0;
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

  static constexpr Client::Tuning kSmall{.receive_buffer = 65'536};
  static constexpr std::chrono::hours kLong{1};
  const Bytes large_{pattern(400'000)};
  std::mutex mutex_;
  std::vector<Conn> conns_;
  std::vector<Bytes> kept_;
  Counter opened_;
  Counter closed_;
};
EVIO_INSTANTIATE(AllocationFailureTest, modes_of({1}));

TEST_P(AllocationFailureTest, OneAtATime) { fail_everywhere(1); }
TEST_P(AllocationFailureTest, TwoInARow) { fail_everywhere(2); }
TEST_P(AllocationFailureTest, ManyInARow) { fail_everywhere(10); }

class StartWithoutMemoryTest : public ModeTest {
 protected:
  void TearDown() override {
    failures = 0;
    ModeTest::TearDown();
  }

  // Serves, on a thread of its own, with the n-th allocation failing from `when` on. True when there was an n-th.
  bool fail_nth(int n, bool when_serving) {
    SCOPED_TRACE("allocation " + std::to_string(n) + (when_serving ? " after serving" : ""));
    const std::string where = address();
    const std::string file = path("s" + std::to_string(n));
    Server handle;
    Events handlers = events();
    const auto begin_to_fail = [n] {
      failed = 0;
      before = n;
      failures = 1;
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
    failures = 0;
    EXPECT_EQ(static_cast<bool>(err), failed != 0 && err.code() == std::errc::not_enough_memory) << err.message();
    EXPECT_FALSE(std::filesystem::exists(file)) << "the socket's file is left";
    EXPECT_EQ(baseline().difference(), "");
    return failed != 0;
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

class LostNoteTest : public ModeTest {
 protected:
  void TearDown() override {
    failures = 0;
    ModeTest::TearDown();
  }

  // Calls f on a thread that has nothing of the queue yet and gets no memory for it. Returns what it returned.
  template <class F>
  static bool without_memory(F f) {
    bool result = false;
    failed = before = 0;
    failures = 1'000'000;
    std::thread([&] {
      may_fail = true;
      result = f();
      may_fail = false;
    }).join();
    failures = 0;
    EXPECT_GT(failed.load(), 0);
    return result;
  }
};
EVIO_INSTANTIATE(LostNoteTest, modes_of({1, 4}));

TEST_P(LostNoteTest, HearsWakeAndCloseAndRefusesSend) {
  const std::string lost(1000, 'l');  // for which the loop's pool has no memory
  Conn conn;
  Counter opened;
  Counter woken;
  Events handlers = events();
  handlers.opened = [&](Conn& c, Output&, Options&) {
    conn = c;
    opened.add();
    return Action::None;
  };
  handlers.data = [&](Conn&, const Bytes& in, Output&) {
    EXPECT_TRUE(in.empty());
    woken.add();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(opened.wait_for(1));
  for (std::size_t i = 1; i <= 10; ++i) {
    EXPECT_TRUE(without_memory([&] { return conn.wake(); }));
    EXPECT_TRUE(woken.wait_for(i));
    EXPECT_FALSE(without_memory([&] { return conn.send(lost); }));
    EXPECT_TRUE(conn.send("sent"));
    EXPECT_EQ(client.receive(4), "sent");
  }
  EXPECT_TRUE(without_memory([&] { return conn.close(); }));
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_TRUE(client.at_end());
  EXPECT_EQ(woken.value(), 10u);
}

// A callback sends behind what another thread has sent. Whatever is lacking for that, what arrives has no gap.
TEST_P(LostNoteTest, ASendBehindThoseOfOtherThreadsLeavesNoGap) {
  const std::string theirs = pattern(40'000);
  std::atomic<int> nth{0};
  std::atomic<bool> some_failed{true};
  std::atomic<bool> taken{false};
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes&, Output& out) {
    std::thread([&] { EXPECT_TRUE(conn.send(theirs)); }).join();
    failed = 0;
    before = nth.load();
    failures = 1;
    may_fail = true;
    taken = conn.send("own ");
    may_fail = false;
    failures = 0;
    some_failed = failed != 0;
    out = "last";
    return Action::Close;
  };
  TestServer server(handlers, address());
  int cut_off = 0;
  for (; some_failed && nth < 20; ++nth) {
    Client client = server.connect();
    client.send_all("go");
    const std::string received = client.receive_all();
    SCOPED_TRACE("after allocation " + std::to_string(nth.load()) + " failed");
    const std::string whole = taken ? theirs + "own last" : theirs + "last";
    EXPECT_TRUE(received == whole || received == "last" + theirs || whole.starts_with(received)) << received.size();
    if (received != whole) ++cut_off;
  }
  // With several loops each connection meets another one, which has other memory left.
  if (loops() == 1) {
    EXPECT_GT(cut_off, 0) << "nothing that matters has failed";
  }
  EXPECT_LT(nth, 20);
}

// A producer that the queue has made by half would never take a note again.
TEST_P(LostNoteTest, AShutdownHoldsThoughTheOutputOfItsCallCannotBeKept) {
  Events handlers = events();
  handlers.data = [](Conn&, const Bytes&, Output& out) {
    out = std::string(20'000'000, 'x');  // more than a socket takes
    failed = before = 0;
    failures = 1;
    may_fail = true;
    return Action::Shutdown;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("go");
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(failed, 1);
}

TEST_P(LostNoteTest, AThreadCanSendOnceThereIsMemory) {
  Conn conn;
  Counter opened;
  Events handlers = events();
  handlers.opened = [&](Conn& c, Output&, Options&) {
    conn = c;
    opened.add();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(opened.wait_for(1));
  // All of them live until the end: the queue knows a thread by the place of its thread_locals, which the next one
  // gets.
  std::vector<std::thread> threads;
  Counter done;
  Gate over;
  bool some_failed = true;
  int n = 0;
  for (; some_failed && n < 20; ++n) {
    threads.emplace_back([&, n] {
      failed = 0;
      before = n;
      failures = 1;
      may_fail = true;
      const bool first = conn.send("1");
      may_fail = false;
      failures = 0;
      some_failed = failed != 0;
      EXPECT_TRUE(conn.send("2")) << "after allocation " << n << " failed";
      EXPECT_EQ(client.receive(first ? 2 : 1), first ? "12" : "2");
      done.add();
      EXPECT_TRUE(over.wait());
    });
    if (!done.wait_for(threads.size())) break;
  }
  over.open();
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(n, 2) << "a producer takes more than one allocation";
  EXPECT_LT(n, 20);
}

// Whatever is lacking for a function, in the call or when its loop hears of it: one that is refused is destroyed in the
// call; one that was taken runs, or its connection is closed for want of memory. Each is destroyed once.
class FunctionWithoutMemoryTest : public LostNoteTest {
 protected:
  enum class How { kPost, kPostAfter, kServerPost, kServerPostAfter };

  // Makes the call while the nth allocation fails, of the calling thread and of the loop. Returns whether it did.
  bool fail_nth(How how, bool on_loop, int nth);
  void call(How how, Fate& fate);
  Events handlers() {
    Events handlers = events();
    handlers.opened = [this](Conn& conn, Output&, Options&) {
      may_fail = true;  // this loop's thread from now on
      const Untouched mine;
      conn_ = conn;
      opened_.add();
      return Action::None;
    };
    handlers.data = [this](Conn&, const Bytes&, Output&) {
      in_loop_();
      return Action::None;
    };
    handlers.closed = [this](Conn&, const Error&) {
      const Untouched mine;
      closed_.add();
      return Action::None;
    };
    return handlers;
  }

  std::unique_ptr<TestServer> server_;
  Conn conn_;
  Counter opened_;
  Counter closed_;
  Counter called_;
  std::function<void()> in_loop_;
  bool taken_ = false;
  bool ended_in_the_call_ = false;
  std::thread::id caller_;
};
EVIO_INSTANTIATE(FunctionWithoutMemoryTest, modes_of({1, 4}));

void FunctionWithoutMemoryTest::call(How how, Fate& fate) {
  using std::chrono::nanoseconds;
  const auto of_conn = [&] {
    return [token = fate.token()](Conn&, Output&) {
      token.run();
      return Action::None;
    };
  };
  const auto of_loop = [&] {
    return [token = fate.token()] {
      token.run();
      return Action::None;
    };
  };
  const Server& server = server_->handle();
  const int loop = conn_.loop_index();
  caller_ = std::this_thread::get_id();
  taken_ = true;
  may_fail = true;
  if (how == How::kPost) taken_ = conn_.post(of_conn());
  if (how == How::kPostAfter) conn_.post_after(nanoseconds(1), of_conn());
  if (how == How::kServerPost) taken_ = server.post(loop, of_loop());
  if (how == How::kServerPostAfter) server.post_after(loop, nanoseconds(1), of_loop());
  // Of a timer nobody is told; at its loop only what is refused can have ended by now.
  ended_in_the_call_ = fate.ends() != 0 && fate.where() == caller_;
  const Untouched mine;
  called_.add();
}

bool FunctionWithoutMemoryTest::fail_nth(How how, bool on_loop, int nth) {
  if (on_loop && internal::kAddressSanitizer) return false;  // there each read takes memory: data would not be called
  SCOPED_TRACE("call " + std::to_string(static_cast<int>(how)) + (on_loop ? " of its loop" : " of a thread") +
               ", allocation " + std::to_string(nth));
  const std::size_t opened = opened_.value();
  const std::size_t called = called_.value();
  const std::size_t closed = closed_.value();
  Client client = server_->connect();
  EXPECT_TRUE(opened_.wait_for(opened + 1));
  Fate fate;
  in_loop_ = [&] { call(how, fate); };
  failed = 0;
  before = nth;
  failures = 1;
  if (on_loop) {
    client.send_all("go");
  } else {
    std::thread([&] {
      call(how, fate);
      may_fail = false;
    }).join();
  }
  EXPECT_TRUE(called_.wait_for(called + 1));
  EXPECT_TRUE(fate.wait_for_end());
  failures = 0;
  EXPECT_EQ(fate.ends(), 1u);
  EXPECT_LE(fate.runs(), 1u);
  if (!taken_) {
    EXPECT_TRUE(ended_in_the_call_);
  }
  if (ended_in_the_call_) {
    EXPECT_EQ(fate.runs(), 0u);
    EXPECT_EQ(fate.where(), caller_);
  } else {
    if (!on_loop) {
      EXPECT_NE(fate.where(), caller_);
    }
    if (fate.runs() == 0) {
      EXPECT_TRUE(how == How::kPost || how == How::kPostAfter);
      EXPECT_TRUE(closed_.wait_for(closed + 1)) << "it was lost";
    }
  }
  client.close();
  EXPECT_TRUE(closed_.wait_for(closed + 1));
  return failed != 0;
}

TEST_P(FunctionWithoutMemoryTest, RunsOrIsDestroyedInTheCallOrCostsItsConnection) {
  int total = 0;
  for (const How how : {How::kPost, How::kPostAfter, How::kServerPost, How::kServerPostAfter}) {
    for (const bool on_loop : {false, true}) {
      server_ = std::make_unique<TestServer>(handlers(), address());
      int nth = 0;
      while (fail_nth(how, on_loop, nth) && nth < 50 && !HasFailure()) ++nth;
      EXPECT_LT(nth, 50);
      total += nth;
      server_.reset();
      conn_ = {};
    }
  }
  EXPECT_GT(total, 8);  // each takes one allocation at least
}

// A connection for which there is no memory is closed, whichever loop accepts it, and counts for none.
// A connection for which there is no memory is closed, whichever loop accepts it, and counts for none, nor for a limit.
TEST_P(LostNoteTest, AnAcceptWithoutMemoryKeepsTheBalance) {
  std::mutex mutex;
  std::vector<int> per_loop(static_cast<std::size_t>(loops()));
  Counter opened;
  Counter closed;
  const auto n = static_cast<std::size_t>(loops());
  const std::size_t most = n + 30;
  Events handlers = events();
  handlers.load_balance = LoadBalance::LeastConnections;
  handlers.max_connections = handlers.max_per_ip = static_cast<int>(most);
  handlers.opened = [&](Conn& conn, Output& out, Options&) {
    {
      const Untouched mine;
      const std::lock_guard lock(mutex);
      ++per_loop[static_cast<std::size_t>(conn.loop_index())];
      opened.add();
      out = "+";
    }
    may_fail = true;  // this loop's thread from now on
    return Action::None;
  };
  handlers.data = echo;
  handlers.closed = [&](Conn& conn, const Error&) {
    const Untouched mine;
    const std::lock_guard lock(mutex);
    --per_loop[static_cast<std::size_t>(conn.loop_index())];
    closed.add();
    return Action::None;
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (std::size_t i = 0; i < n; ++i) {
    clients.push_back(server.connect());
    clients.back().send_all("=");
    EXPECT_EQ(clients.back().receive(2), "+=");  // its loop has done all there is to do for it
  }
  failed = before = 0;
  failures = 12;  // spread over the loops' threads
  std::vector<Client> unlucky;
  for (int i = 0; i < 30; ++i) unlucky.push_back(server.connect());
  EXPECT_TRUE(eventually([] { return failures.load() == 0; }));
  // Each is opened or closed without a word.
  for (Client& client : unlucky) {
    if (client.receive(1) == "+") continue;
    EXPECT_TRUE(client.at_end() || client.error());
  }
  unlucky.clear();
  EXPECT_TRUE(eventually([&] { return opened.value() == closed.value() + n; }));
  for (std::size_t i = 0; i < 2 * n; ++i) {
    clients.push_back(server.connect());
    EXPECT_EQ(clients.back().receive(1), "+");
  }
  {
    const std::lock_guard lock(mutex);
    for (const int count : per_loop) EXPECT_EQ(count, 3);
  }
  while (clients.size() != most) {
    clients.push_back(server.connect());
    EXPECT_EQ(clients.back().receive(1), "+");
  }
}

}  // namespace
}  // namespace evio::test
