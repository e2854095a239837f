// A call about one connection fails: that connection closes with the error, the others notice nothing.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/fault/inject.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class ConnectionFailureTest : public ModeTest {
 protected:
  // Fails the first call that `concerns` says yes to after it was armed.
  struct Fault {
    std::function<bool(const Invocation&)> concerns;
    int error;
    std::atomic<bool> armed{false};
    std::atomic<int> fd{-1};

    int operator()(Invocation& invocation) {
      if (!armed || !concerns(invocation) || !armed.exchange(false)) return 0;
      fd = invocation.fd;
      return error;
    }
  };

  // A server that echoes and notes, with a log of its own; "closed" with the code of its error.
  Events noting() {
    log_ = std::make_unique<EventLog>();
    Events handlers = events();
    note_all(handlers, *log_);
    handlers.closed = [this](Conn& conn, const Error& err) {
      log_->add(conn, "closed " + std::to_string(err.code().value()));
      if (err) {
        EXPECT_NE(err.message().find(conn.remote_addr().network()), std::string::npos) << err.message();
      }
      return Action::None;
    };
    return handlers;
  }

  static bool is_write(Call call) { return call == Call::kSend || call == Call::kSendmsg; }

  static void expect_echo(Client& client) {
    client.send_all("ping");
    EXPECT_EQ(client.receive(4), "ping");
  }

  std::unique_ptr<EventLog> log_;
};
EVIO_INSTANTIATE(ConnectionFailureTest, modes_of({1, 4}));

class RegistrationFailureTest : public ConnectionFailureTest {};

std::vector<Mode> epoll_modes() {
  std::vector<Mode> modes = modes_of({1, 4});
  std::erase_if(modes, [](const Mode& mode) { return mode.poller == PollerKind::kPortable; });
  return modes;
}
EVIO_INSTANTIATE(RegistrationFailureTest, epoll_modes());

TEST_P(RegistrationFailureTest, OfANewConnectionClosesIt) {
  for (const int error : {ENOMEM, ENOSPC}) {
    const std::string closed = "closed " + std::to_string(error);
    Fault fault{[](const Invocation& i) { return i.call == Call::kEpollCtl && i.operation == EPOLL_CTL_ADD; }, error};
    Injection injection(std::ref(fault));
    TestServer server(noting(), address());
    Client other = server.connect();
    expect_echo(other);
    fault.armed = true;
    Client client = server.connect();
    EXPECT_EQ(client.receive_all(), "");
    ASSERT_TRUE(log_->wait_for(closed));
    EXPECT_EQ(log_->of(log_->ids().back()), (EventLog::List{"opened", closed}));
    expect_echo(other);
    Client next = server.connect();
    expect_echo(next);
  }
}

TEST_P(RegistrationFailureTest, ForWritabilityClosesThatConnection) {
  Fault fault{[](const Invocation& i) { return i.call == Call::kEpollCtl && i.operation == EPOLL_CTL_MOD; }, ENOMEM};
  Injection injection(std::ref(fault));
  const std::string large = pattern(8'000'000);
  Events handlers = noting();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    log_->add(conn, "data");
    if (in == "much") {
      out = large;
    } else {
      out = in;
    }
    return Action::None;
  };
  TestServer server(handlers, address());
  Client other = server.connect();
  expect_echo(other);
  fault.armed = true;
  Client client = server.connect();
  client.send_all("much");
  ASSERT_TRUE(log_->wait_for("closed " + std::to_string(ENOMEM)));
  EXPECT_LT(client.receive_all().size(), large.size());
  expect_echo(other);
}

TEST_P(ConnectionFailureTest, AReadThatFailsClosesWithItsError) {
  for (const int error : {ECONNRESET, ETIMEDOUT, EIO, ENOMEM, EHOSTUNREACH}) {
    Fault fault{[](const Invocation& i) { return i.call == Call::kRead && is_socket(i.fd); }, error};
    Injection injection(std::ref(fault));
    TestServer server(noting(), address());
    Client other = server.connect();
    expect_echo(other);
    Client client = server.connect();
    expect_echo(client);
    fault.armed = true;
    client.send_all("lost");
    client.receive_all();
    const std::string closed = "closed " + std::to_string(error);
    ASSERT_TRUE(log_->wait_for(closed));
    EXPECT_EQ(log_->of(log_->ids().back()), (EventLog::List{"opened", "data", closed}));
    expect_echo(other);
  }
}

// What the peer sent before is delivered all the same, but there is no one left to answer.
TEST_P(ConnectionFailureTest, AFailedWriteClosesAfterTheInput) {
  for (const int error : {EPIPE, ECONNRESET, ETIMEDOUT, EIO}) {
    Counter seen;
    Gate behind;
    Fault fault{[](const Invocation& i) { return is_write(i.call) && is_socket(i.fd); }, error};
    Injection injection(std::ref(fault));
    Events handlers = noting();
    handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
      if (in.view().starts_with("first")) {
        EXPECT_TRUE(behind.wait());
      }
      seen.add(in.size());
      return echo(conn, in, out);
    };
    TestServer server(handlers, address());
    Client client = server.connect();
    fault.armed = true;
    client.send_all("first");
    const std::string rest = pattern(100'000);
    client.send_all(rest);
    client.wait_for_arrival();
    behind.open();
    const std::string closed = "closed " + std::to_string(error);
    ASSERT_TRUE(log_->wait_for(closed));
    EXPECT_EQ(seen.value(), 5 + rest.size());
    EXPECT_EQ(log_->of(log_->ids().back()), (EventLog::List{"opened", closed}));
    client.receive_all();
    Client other = server.connect();
    expect_echo(other);
  }
}

TEST_P(ConnectionFailureTest, AFailedFlushClosesWithItsError) {
  Fault fault{[](const Invocation& i) { return is_write(i.call) && is_socket(i.fd); }, EIO};
  Injection injection(std::ref(fault));
  Gate opened;
  Events handlers = noting();
  handlers.opened = [&](Conn& conn, Output& out, Options&) {
    log_->add(conn, "opened");
    out = pattern(8'000'000);
    return Action::None;
  };
  handlers.pre_write = [&] { opened.open(); };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(opened.wait());
  EXPECT_FALSE(client.receive(100'000).empty());
  fault.armed = true;
  client.receive_all();
  ASSERT_TRUE(log_->wait_for("closed " + std::to_string(EIO)));
  EXPECT_EQ(log_->all().size(), 2u);
}

// A unix peer may shut its reading down and write on: what arrives after the write that failed is nobody's.
TEST_P(ConnectionFailureTest, AFailedWriteClosesDespiteEndlessInput) {
  if (mode().is_tcp()) return;  // there such a peer answers with a reset
  std::atomic<std::uint64_t> sent{0};
  std::atomic<bool> over{false};
  Events handlers = noting();
  handlers.data = [&](Conn&, const Bytes& in, Output& out) {
    if (in == "ping") return out = in, Action::None;
    // Goes on only when there is more to read.
    const std::uint64_t before = sent;
    [[maybe_unused]] const bool more = eventually([&] { return sent != before; }, std::chrono::milliseconds(20));
    out = "answer";
    return Action::None;
  };
  TestServer server(handlers, address());
  Client flooding = server.connect();
  ::shutdown(flooding.fd(), SHUT_RD);
  std::thread flood([&] {
    const std::string chunk = pattern(8'192);
    while (!over && flooding.send_all(chunk)) ++sent;
  });
  EXPECT_TRUE(log_->wait_for("closed " + std::to_string(EPIPE)));
  over = true;  // and the socket is closed at its other end
  flood.join();
  Client other = server.connect();
  expect_echo(other);
}

}  // namespace
}  // namespace evio::test
