// Every call that part 2 added, from every callback: what is called then, in which order, and what the peer gets. Each
// Action from each callback: reentrancy_matrix_test.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <ostream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

using namespace std::chrono_literals;
using List = EventLog::List;

enum class From { kOpened, kData, kClosed, kDrained, kEnded, kPreWrite, kTick, kStopping, kPost, kTimer };
enum class What { kAbort, kPause, kResume, kCloseWrite, kPost, kPostAfter, kExpiresAfter, kClose, kCloseAfterEnd };

constexpr const char* kFroms[]{"opened",   "data", "closed",   "drained", "ended",
                               "prewrite", "tick", "stopping", "post",    "timer"};
constexpr const char* kWhats[]{"abort",      "pause",         "resume", "close_write",    "post",
                               "post_after", "expires_after", "close",  "close_after_end"};

thread_local int under_way = 0;  // how many callbacks are, on this thread

/// Fails the test where a callback is called within another.
class InCallback {
 public:
  explicit InCallback(const char* name) { EXPECT_EQ(++under_way, 1) << name << " within another callback"; }
  ~InCallback() { --under_way; }
  InCallback(const InCallback&) = delete;
  InCallback& operator=(const InCallback&) = delete;
};

// The connection in question is the second one. It is half-open, and everything but the call in question returns None;
// what has an output adds its name to it.
class CallsMatrixTest : public ServerTest, public testing::WithParamInterface<std::tuple<Mode, From, What>> {
 protected:
  static constexpr std::size_t kMuch = 8'000'000;  // more than sockets hold
  static const Mode& mode() { return std::get<0>(GetParam()); }
  static From from() { return std::get<1>(GetParam()); }
  static What what() { return std::get<2>(GetParam()); }
  static bool ends_it() { return what() == What::kAbort || what() == What::kClose || what() == What::kCloseAfterEnd; }

  Events events();
  void act(From here, const Conn* conn = nullptr);
  bool call();
  void reach(const TestServer& server, Client& client);
  void go_on(Client& client);
  void pass_two_turns() const;
  List before() const;
  List after() const;
  bool is_subject(const Conn& conn) const { return conn.id() == subject_id_; }
  auto function(std::string name) {
    return [this, name = std::move(name)](Conn& conn, Output& out) {
      const InCallback here(name.c_str());
      log_.add(conn, name);
      out = name + ";";
      if (name == "post") act(From::kPost, &conn);
      if (name == "timer") act(From::kTimer, &conn);
      return Action::None;
    };
  }

  EventLog log_;
  std::atomic<std::uint64_t> subject_id_{0};
  Conn subject_;
  Gate opened_;
  Gate acted_;
  std::atomic<bool> now_{false};  // for callbacks that are about no connection
  std::string received_;
};

Events CallsMatrixTest::events() {
  Events handlers;
  handlers.num_loops = mode().loops;
  handlers.drain_timeout = kPatience;
  handlers.opened = [this](Conn& conn, Output& out, Options& opts) {
    const InCallback here("opened");
    opts.half_open = true;
    opts.high_water = kMuch / 8;  // a few bytes behind much congest nobody again
    log_.add(conn, "opened");
    out = "opened;";
    if (log_.count("opened") == 2) {
      subject_ = conn;
      subject_id_ = conn.id();
      act(From::kOpened, &conn);
      opened_.open();
    }
    return Action::None;
  };
  handlers.data = [this](Conn& conn, const Bytes& in, Output& out) {
    const InCallback here("data");
    log_.add(conn, "data");
    out = in == "much" ? std::string(kMuch, 'm') : std::string("data;");
    if (from() == From::kPreWrite && is_subject(conn)) now_ = true;
    act(From::kData, &conn);
    return Action::None;
  };
  handlers.closed = [this](Conn& conn, const Error& err) {
    const InCallback here("closed");
    act(From::kClosed, &conn);
    log_.add(conn, err ? "closed: " + err.message() : "closed");
    return Action::None;
  };
  handlers.drained = [this](Conn& conn, Output& out) {
    const InCallback here("drained");
    log_.add(conn, "drained");
    out = "drained;";
    act(From::kDrained, &conn);
    return Action::None;
  };
  handlers.ended = [this](Conn& conn, Output& out) {
    const InCallback here("ended");
    log_.add(conn, "ended");
    out = "ended;";
    act(From::kEnded, &conn);
    return from() == From::kClosed ? Action::Close : Action::None;
  };
  handlers.timeout = [this](Conn& conn, Timeout, Output& out) {
    const InCallback here("timeout");
    log_.add(conn, "timeout");
    out = "timeout;";
    return Action::None;
  };
  handlers.pre_write = [this] {
    const InCallback here("pre_write");
    if (now_) act(From::kPreWrite);
  };
  handlers.tick = [this](std::chrono::nanoseconds& delay) {
    const InCallback here("tick");
    delay = 1ms;
    if (now_) act(From::kTick);
    return Action::None;
  };
  if (from() == From::kStopping) {
    handlers.stopping = [this](const Server&) {
      const InCallback here("stopping");
      act(From::kStopping);
    };
  }
  return handlers;
}

// Makes the call, when this is the callback it comes from and the connection it is for.
void CallsMatrixTest::act(From here, const Conn* conn) {
  if (here != from() || acted_.is_open() || (conn != nullptr && !is_subject(*conn))) return;
  EXPECT_EQ(call(), from() != From::kClosed);
  acted_.open();
}

bool CallsMatrixTest::call() {
  switch (what()) {
    case What::kAbort:
      return subject_.abort();
    case What::kPause:
      return subject_.pause();
    case What::kResume:
      return subject_.resume();
    case What::kCloseWrite:
      return subject_.close_write();
    case What::kPost:
      return subject_.post(function("function"));
    case What::kPostAfter:
      subject_.post_after(0ns, function("function"));
      return from() != From::kClosed;  // nobody is told
    case What::kExpiresAfter:
      return subject_.expires_after(1us);
    case What::kClose:
      return subject_.close();
    case What::kCloseAfterEnd:
      return subject_.close_write() && subject_.close();
  }
  return false;
}

// Up to the callback in question, which makes the call.
void CallsMatrixTest::reach(const TestServer& server, Client& client) {
  ASSERT_TRUE(opened_.wait());
  if (from() != From::kOpened) received_ = client.receive(7);
  if (from() == From::kData || from() == From::kPreWrite) client.send_all("x");
  if (from() == From::kDrained) {
    client.send_all("much");
    const std::size_t got = client.receive(kMuch).size();
    EXPECT_TRUE(got == kMuch || what() == What::kAbort) << got;  // which drops what the kernel has
  }
  if (from() == From::kEnded || from() == From::kClosed) client.shutdown_write();
  if (from() == From::kTick) now_ = true;
  if (from() == From::kPost) subject_.post(function("post"));
  if (from() == From::kTimer) subject_.post_after(0ns, function("timer"));
  if (from() == From::kStopping) server.shutdown();
  ASSERT_TRUE(acted_.wait());
}

void CallsMatrixTest::pass_two_turns() const {
  for (int i = 0; i != 2; ++i) {
    Gate ran;
    ASSERT_TRUE(subject_.post([&](Conn&, Output&) {
      ran.open();
      return Action::None;
    }));
    ASSERT_TRUE(ran.wait());
  }
}

// The connection goes on as if nothing had been called, and then ends.
void CallsMatrixTest::go_on(Client& client) {
  const List own = after();
  if (!own.empty() && own.front() != "data") {
    ASSERT_TRUE(log_.wait_for(own.front()));
  }
  const std::size_t data = log_.count("data");
  if (from() != From::kEnded) {
    client.send_all("y");
    if (what() == What::kPause) {
      client.wait_for_arrival();
      pass_two_turns();
      EXPECT_EQ(log_.count("data"), data) << "it is paused";
      EXPECT_TRUE(subject_.resume());
    }
    ASSERT_TRUE(log_.wait_for("data", data + 1));
  }
  if (what() == What::kCloseWrite) {
    if (from() != From::kEnded) client.shutdown_write();
  } else {
    EXPECT_TRUE(subject_.close());
  }
}

// Up to the callback in question, which is the last.
List CallsMatrixTest::before() const {
  switch (from()) {
    case From::kData:
    case From::kPreWrite:
      return {"opened", "data"};
    case From::kDrained:
      return {"opened", "data", "drained"};
    case From::kEnded:
    case From::kClosed:
      return {"opened", "ended"};
    case From::kPost:
      return {"opened", "post"};
    case From::kTimer:
      return {"opened", "timer"};
    default:
      return {"opened"};
  }
}

// Behind it, but for the end.
List CallsMatrixTest::after() const {
  if (from() == From::kClosed || ends_it()) return {};
  List events;
  if (what() == What::kPost || what() == What::kPostAfter) events.push_back("function");
  if (what() == What::kExpiresAfter) events.push_back("timeout");
  if (from() == From::kEnded || from() == From::kStopping) return events;
  events.push_back("data");
  if (what() == What::kCloseWrite) events.push_back("ended");
  return events;
}

TEST_P(CallsMatrixTest, DoesWhatIsWrittenDown) {
  TestServer server(events(), mode().scheme() + "://" + (mode().is_tcp() ? "127.0.0.1:0" : path("s")));
  Client bystander = server.connect();
  EXPECT_EQ(bystander.receive(7), "opened;");
  Client client(server.addr(), {.receive_buffer = 131'072});
  reach(server, client);
  if (HasFatalFailure()) return;
  if (from() != From::kClosed && from() != From::kStopping && !ends_it()) go_on(client);
  received_ += client.receive_all();
  const bool aborted = what() == What::kAbort && from() != From::kClosed;
  if (from() != From::kStopping) {
    ASSERT_TRUE(log_.wait_for(aborted ? "closed: aborted" : "closed"));
    bystander.send_all("x");
    EXPECT_EQ(bystander.receive(5), "data;") << "it had no part in it";
    server.shutdown();
  }
  EXPECT_FALSE(server.wait());
  List rest = after();
  // What is not due before the shutdown gets there never is.
  if (from() == From::kStopping && log_.of(subject_id_).size() == 2) rest.clear();
  if (from() == From::kStopping && what() == What::kPost) {
    ASSERT_EQ(rest, List{"function"});
  }
  List events = before();
  events.insert(events.end(), rest.begin(), rest.end());
  events.push_back(aborted ? "closed: aborted" : "closed");
  EXPECT_EQ(log_.of(subject_id_), events);
  if (aborted) return;  // what had left may be lost
  EXPECT_TRUE(client.at_end()) << client.error().message();
  std::string said;
  for (const std::string& event : before()) {
    if (from() != From::kDrained || event != "data") said += event + ";";  // that was much, and is read by now
  }
  if (what() != What::kCloseWrite) {
    for (const std::string& event : rest) said += event + ";";
  }
  EXPECT_EQ(received_, said);
}

std::string name_of_case(const testing::TestParamInfo<std::tuple<Mode, From, What>>& info) {
  return std::get<0>(info.param).name() + "_" + kWhats[static_cast<std::size_t>(std::get<2>(info.param))] + "_in_" +
         kFroms[static_cast<std::size_t>(std::get<1>(info.param))];
}

INSTANTIATE_TEST_SUITE_P(
    , CallsMatrixTest,
    testing::Combine(testing::ValuesIn(modes_of({1, 4})),
                     testing::Values(From::kOpened, From::kData, From::kClosed, From::kDrained, From::kEnded,
                                     From::kPreWrite, From::kTick, From::kStopping, From::kPost, From::kTimer),
                     testing::Values(What::kAbort, What::kPause, What::kResume, What::kCloseWrite, What::kPost,
                                     What::kPostAfter, What::kExpiresAfter, What::kClose, What::kCloseAfterEnd)),
    name_of_case);

}  // namespace
}  // namespace evio::test
