// Every Action from every callback: what is called then, in which order, and what the peer gets.
#include <algorithm>
#include <atomic>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

enum class From { kServing, kOpened, kData, kWake, kClosed, kDetached, kTick };

// One cell of the matrix. The peer of the connection in question reads "hello;", says something, reads "data;", the
// connection is woken, the peer reads "wake;" and ends its side: as far as it gets. The action is returned once, by the
// first call of `from` for that connection; everything else returns None (for kDetached, data asks for the Detach
// first).
struct Row {
  From from;
  Action action;
  bool has_detached;  // whether a `detached` callback is set
  std::vector<std::string> events;
  std::string received;
  bool ends_server;
};

using A = Action;
using List = std::vector<std::string>;
const List kWhole{"opened", "data", "wake", "closed"};
const std::string kAll = "hello;data;wake;";

const std::vector<Row> kRows{
    // serving heeds only Shutdown, and then nothing else is called.
    {From::kServing, A::None, true, kWhole, kAll, false},
    {From::kServing, A::Detach, true, kWhole, kAll, false},
    {From::kServing, A::Close, true, kWhole, kAll, false},
    {From::kServing, A::Shutdown, true, {}, "", true},

    {From::kOpened, A::None, true, kWhole, kAll, false},
    {From::kOpened, A::Detach, true, {"opened", "detached"}, "hello;", false},
    {From::kOpened, A::Detach, false, {"opened", "closed"}, "hello;", false},
    {From::kOpened, A::Close, true, {"opened", "closed"}, "hello;", false},
    {From::kOpened, A::Shutdown, true, {"opened", "closed"}, "hello;", true},

    {From::kData, A::None, true, kWhole, kAll, false},
    {From::kData, A::Detach, true, {"opened", "data", "detached"}, "hello;data;", false},
    {From::kData, A::Detach, false, {"opened", "data", "closed"}, "hello;data;", false},
    {From::kData, A::Close, true, {"opened", "data", "closed"}, "hello;data;", false},
    {From::kData, A::Shutdown, true, {"opened", "data", "closed"}, "hello;data;", true},

    {From::kWake, A::None, true, kWhole, kAll, false},
    {From::kWake, A::Detach, true, {"opened", "data", "wake", "detached"}, kAll, false},
    {From::kWake, A::Detach, false, kWhole, kAll, false},
    {From::kWake, A::Close, true, kWhole, kAll, false},
    {From::kWake, A::Shutdown, true, kWhole, kAll, true},

    // closed, detached and tick heed only Shutdown.
    {From::kClosed, A::None, true, kWhole, kAll, false},
    {From::kClosed, A::Detach, true, kWhole, kAll, false},
    {From::kClosed, A::Close, true, kWhole, kAll, false},
    {From::kClosed, A::Shutdown, true, kWhole, kAll, true},

    {From::kDetached, A::None, true, {"opened", "data", "detached"}, "hello;data;", false},
    {From::kDetached, A::Detach, true, {"opened", "data", "detached"}, "hello;data;", false},
    {From::kDetached, A::Close, true, {"opened", "data", "detached"}, "hello;data;", false},
    {From::kDetached, A::Shutdown, true, {"opened", "data", "detached"}, "hello;data;", true},

    // tick acts after the wake and before the peer ends its side.
    {From::kTick, A::None, true, kWhole, kAll, false},
    {From::kTick, A::Detach, true, kWhole, kAll, false},
    {From::kTick, A::Close, true, kWhole, kAll, false},
    {From::kTick, A::Shutdown, true, kWhole, kAll, true},
};

std::string name_of(const Row& row) {
  static const std::vector<std::string> froms{"serving", "opened", "data", "wake", "closed", "detached", "tick"};
  static const std::vector<std::string> actions{"None", "Detach", "Close", "Shutdown"};
  return froms[static_cast<std::size_t>(row.from)] + "_" + actions[static_cast<std::size_t>(row.action)] +
         (row.has_detached ? "" : "_without_detached");
}

std::ostream& operator<<(std::ostream& out, const Row& row) { return out << name_of(row); }

class ReentrancyMatrixTest : public ServerTest, public testing::WithParamInterface<std::tuple<Mode, Row>> {
 protected:
  static const Mode& mode() { return std::get<0>(GetParam()); }
  static const Row& row() { return std::get<1>(GetParam()); }

  Events events();
  // The action, when this is the callback it comes from and the connection it is for (or none at all).
  Action act(From from, const Conn* conn = nullptr) {
    if (from != row().from || acted_.is_open() || (conn != nullptr && conn->id() != subject_id_.load())) return A::None;
    acted_.open();
    return row().action;
  }
  bool expects(const std::string& event) const { return std::ranges::find(row().events, event) != row().events.end(); }
  void play_peer(const TestServer& server);

  EventLog log_;
  std::atomic<std::uint64_t> subject_id_{0};
  Conn subject_;
  Gate opened_;
  Gate acted_;
  std::atomic<bool> tick_now_{false};
};

Events ReentrancyMatrixTest::events() {
  Events handlers;
  handlers.num_loops = mode().loops;
  handlers.serving = [this](const Server&) { return act(From::kServing); };
  handlers.opened = [this](Conn& conn, Output& out, Options&) {
    if (log_.count("opened") == 1) {  // the second connection is the one in question
      subject_ = conn;
      subject_id_ = conn.id();
      opened_.open();
    }
    log_.add(conn, "opened");
    out = "hello;";
    return act(From::kOpened, &conn);
  };
  handlers.data = [this](Conn& conn, const Bytes& in, Output& out) {
    const std::string event = in.empty() ? "wake" : "data";
    log_.add(conn, event);
    out = event + ";";
    const bool detaching = row().from == From::kDetached && conn.id() == subject_id_;
    return detaching ? A::Detach : act(in.empty() ? From::kWake : From::kData, &conn);
  };
  handlers.closed = [this](Conn& conn, const Error& err) {
    log_.add(conn, err ? "closed: " + err.message() : "closed");
    return act(From::kClosed, &conn);
  };
  if (row().has_detached) {
    handlers.detached = [this](Conn& conn, DetachedConn) {
      log_.add(conn, "detached");
      return act(From::kDetached, &conn);
    };
  }
  handlers.tick = [this](std::chrono::nanoseconds& delay) {
    delay = std::chrono::milliseconds(1);
    return tick_now_ ? act(From::kTick) : A::None;
  };
  return handlers;
}

// The peer of the connection in question, as far as the matrix says it gets.
void ReentrancyMatrixTest::play_peer(const TestServer& server) {
  Client client = server.connect();
  std::string received = client.receive(6);
  ASSERT_TRUE(opened_.wait());
  if (expects("data")) {
    client.send_all("x");
    received += client.receive(5);
  }
  if (expects("wake")) {
    subject_.wake();
    received += client.receive(5);
  }
  if (row().from == From::kTick) {
    tick_now_ = true;
    EXPECT_TRUE(acted_.wait());
  }
  // Where nothing else ends it, the peer does.
  if (row().events == kWhole) client.shutdown_write();
  received += client.receive_all();
  EXPECT_EQ(received, row().received);
  EXPECT_TRUE(client.at_end()) << client.error().message();
}

TEST_P(ReentrancyMatrixTest, CallsWhatIsWrittenDown) {
  const std::string address = mode().scheme() + "://" + (mode().is_tcp() ? "127.0.0.1:0" : path("s"));
  TestServer server(events(), address);
  if (row().from == From::kServing && row().ends_server) {
    EXPECT_FALSE(server.wait());
    EXPECT_EQ(log_.all(), List{});
    return;
  }
  Client bystander = server.connect();
  EXPECT_EQ(bystander.receive(6), "hello;");
  const std::uint64_t bystander_id = log_.ids().front();
  play_peer(server);
  if (!row().ends_server) {
    bystander.send_all("x");
    EXPECT_EQ(bystander.receive(5), "data;");
    EXPECT_FALSE(server.returned());
    server.shutdown();
  }
  EXPECT_FALSE(server.wait()) << server.wait().message();
  EXPECT_EQ(log_.of(subject_id_), row().events);
  EXPECT_EQ(log_.of(bystander_id), row().ends_server ? (List{"opened", "closed"}) : (List{"opened", "data", "closed"}));
  EXPECT_EQ(bystander.receive_all(), "");
}

std::string name_of_case(const testing::TestParamInfo<std::tuple<Mode, Row>>& info) {
  return std::get<0>(info.param).name() + "_" + name_of(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(, ReentrancyMatrixTest,
                         testing::Combine(testing::ValuesIn(modes_of({1, 4})), testing::ValuesIn(kRows)), name_of_case);

}  // namespace
}  // namespace evio::test
