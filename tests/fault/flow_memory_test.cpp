// Memory runs out where flow is controlled and a side ends: the call is refused, or that connection closes, and no
// other.
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace {

// Allocations fail on a thread that says so: the one after `before` others.
thread_local bool may_fail = false;
std::atomic<int> before{0};
std::atomic<bool> failed{true};

bool fails_now() { return may_fail && !failed && before.fetch_sub(1) <= 0 && !failed.exchange(true); }

}  // namespace

extern "C" {
void* __real_malloc(std::size_t size);
void* __wrap_malloc(std::size_t size) { return fails_now() ? nullptr : __real_malloc(size); }
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

/// What the handlers themselves allocate is not at stake.
class Untouched {
 public:
  Untouched() : saved_(std::exchange(may_fail, false)) {}
  ~Untouched() { may_fail = saved_; }
  Untouched(const Untouched&) = delete;
  Untouched& operator=(const Untouched&) = delete;

 private:
  bool saved_;
};

class FlowMemoryTest : public ModeTest {
 protected:
  static constexpr Client::Tuning kSmall{.receive_buffer = 65'536};

  Events handlers() {
    Events handlers = events();
    handlers.serving = [](const Server&) {
      may_fail = true;
      return Action::None;
    };
    handlers.opened = [this](Conn& conn, Output& out, Options& opts) {
      const Untouched mine;
      const std::lock_guard lock(mutex_);
      conns_.push_back(conn);
      opts.high_water = 200'000;
      opts.low_water = 100'000;
      opts.max_pending = 20'000'000;
      opts.half_open = true;
      opts.read_while_pending = true;
      opened_.add();
      out = "+";
      return Action::None;
    };
    handlers.data = [this](Conn& conn, const Bytes& in, Output& out) {
      if (in == "much") out.append(large_);
      if (in == "text") out.append(large_.view());
      if (in == "send") conn.send(large_);
      if (in == "end") conn.close_write();
      if (in == "ping") out = "pong";
      if (in == "pause") conn.pause(), conn.resume();
      return Action::None;
    };
    handlers.congested = [](Conn& conn) {
      conn.pause();
      return Action::None;
    };
    handlers.drained = [this](Conn& conn, Output& out) {
      conn.resume();
      conn.send("drained");
      out.append(large_.view().substr(0, 30'000));
      return Action::None;
    };
    handlers.ended = [this](Conn& conn, Output& out) {
      conn.send(large_);
      out = "ended";
      conn.close_write();
      return Action::None;
    };
    handlers.closed = [this](Conn& conn, const Error&) {
      const Untouched mine;
      const std::lock_guard lock(mutex_);
      EXPECT_EQ(conn.pending(), 0u);
      closed_.add();
      return Action::None;
    };
    return handlers;
  }

  // What the clients get depends on what fails; each comes to an end.
  void exercise(const TestServer& server) {
    static constexpr std::array kWhat{"much", "text", "send", "end", "pause", ""};
    std::vector<Client> clients;
    while (clients.size() < kWhat.size()) clients.emplace_back(server.addr(), kSmall);
    for (std::size_t i = 0; i != clients.size(); ++i) {
      if (clients[i].receive(1) == "+") clients[i].send_all(kWhat[i]);
    }
    std::vector<Conn> conns;
    {
      const std::lock_guard lock(mutex_);
      conns.assign(conns_.begin() + 1, conns_.end());  // without the bystander
    }
    // On a thread that has no memory either. What is refused has not happened.
    std::thread([&] {
      may_fail = true;
      for (const Conn& conn : conns) {
        conn.pause();
        conn.send(large_);
        conn.resume();
        conn.close_write();
      }
      may_fail = false;
    }).join();
    for (Client& client : clients) {
      client.shutdown_write();
      client.receive_all();
    }
  }

  // Exercises a server with the n-th allocation failing. Returns whether there was one.
  bool fail_nth(int n) {
    SCOPED_TRACE(n);
    const std::string where = address();
    TestServer server(handlers(), where);
    const std::size_t size = large_.size();
    Client bystander = server.connect();
    bystander.send_all("ping");
    EXPECT_EQ(bystander.receive(5), "+pong");  // all there is to allocate for it by now is
    before = n;
    failed = false;
    exercise(server);
    const bool any = failed.exchange(true);
    bystander.send_all("text");
    EXPECT_EQ(bystander.receive(size).size(), size) << "it had no part in it";
    Client late = server.connect();
    EXPECT_EQ(late.receive(1), "+");
    server.shutdown();
    EXPECT_FALSE(server.wait());
    EXPECT_EQ(opened_.value(), closed_.value());
    const std::lock_guard lock(mutex_);
    conns_.clear();
    return any;
  }

  const Bytes large_{pattern(1'000'000)};
  std::mutex mutex_;
  std::vector<Conn> conns_;
  Counter opened_;
  Counter closed_;
};
EVIO_INSTANTIATE(FlowMemoryTest, modes_of({1}));

TEST_P(FlowMemoryTest, CostsTheCallOrThatConnection) {
  int n = 0;
  while (fail_nth(n) && !HasFailure()) n += 1 + n / 8;  // the first ones matter most
  EXPECT_GT(n, 5);
}

}  // namespace
}  // namespace evio::test
