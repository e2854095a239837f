#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "internal/base/syscalls.hpp"
#include "internal/net/socket_address.hpp"
#include "internal/stream/stream.hpp"
#include "internal/stream/stream_host.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_poller.hpp"
#include "tests/support/unique_fd.hpp"

namespace evio::internal {

/// Counts what connections ask of their server, and shuts the loop down as it would. Thread-safety: one thread.
class FakeServer final : public ServerControl {
 public:
  explicit FakeServer(StopFlag& stop) : stop_(stop) {}

  RefPtr<NoteQueue> queue;
  int shut_downs = 0;
  int closed = 0;
  std::function<void(const Endpoint&)> before_count;  // a connection has closed
  std::vector<std::string> failures;                  // what the exceptions said

  void shut_down() noexcept override {
    ++shut_downs;
    stop_.set();
    queue->post(Signal::kShutdown);
  }
  void fail() noexcept override {
    try {
      throw;
    } catch (const std::exception& e) {
      failures.emplace_back(e.what());
    }
    shut_down();
  }
  void notice(int, Notice, std::error_code, std::string_view) noexcept override {}
  void on_closed(const Endpoint& connection) noexcept override {
    if (before_count) before_count(connection);
    ++closed;
  }

 private:
  StopFlag& stop_;
};

/// One stream on a loop whose poller and clock are the test's, and the far end of its socket. What the callbacks of a
/// test do not replace says so in the log. Thread-safety: one thread.
class StreamTest : public testing::Test, protected LoopHandler {
 protected:
  using Names = std::vector<std::string>;
  using Turn = test::FakePoller::Turn;

  StreamTest() {
    server_.queue = loop_.queue();
    events_.data = [this](Conn&, const Bytes& in, Output&) {
      log_.push_back("data " + in.str());
      return Action::None;
    };
    events_.closed = [this](Conn&, const Error& err) {
      log_.push_back(err ? "closed: " + err.message() : "closed");
      return Action::None;
    };
  }

  // The stream reaches its loop in the first turn; a turn for each of these follows, then the shutdown.
  void run(std::deque<Turn> turns) {
    turns.push_front([this] { adopt(); });
    poller_.turns = std::move(turns);
    poller_.afterwards = [this] {
      if (!stop_.is_set()) server_.shut_down();
    };
    loop_.run(*this);
  }
  // A pair of unix sockets unless the test has made another.
  void adopt() {
    if (!near_.valid()) make_pair();
    RefPtr<Stream> stream(new Stream(std::move(near_), server_.next_ids(1), host_, 0, local_, remote_));
    conn_ = EndpointAccess::handle(RefPtr<Endpoint>(RefPtr(stream).detach()));
    ASSERT_TRUE(loop_.queue()->post({Note::Kind::kAdopt, RefPtr<NoteTarget>(stream.detach())}));
  }
  void make_pair() {
    int fds[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    take(fds[0], fds[1]);
  }
  // The far end takes little, the near one all that a test writes.
  void make_tcp_pair() {
    const test::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    SocketAddress address;
    address.v4 = {};
    address.v4.sin_family = AF_INET;
    address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::bind(listener.get(), &address.any, sizeof address.v4), 0);
    ASSERT_EQ(::listen(listener.get(), 1), 0);
    ASSERT_TRUE(address.read_local(listener.get()));
    const int far = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sys::setsockopt(far, SOL_SOCKET, SO_RCVBUF, 16'384);
    ASSERT_EQ(::connect(far, &address.any, address.size), 0);
    SocketAddress peer;
    take(::accept4(listener.get(), &peer.any, &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC), far);
    sys::setsockopt(fd_, SOL_SOCKET, SO_SNDBUF, 1'000'000);
    local_ = address.to_addr(Network::kTcp);
    remote_ = peer.to_addr(Network::kTcp);
  }
  void take(int near, int far) {
    fd_ = near;
    near_ = FileDescriptor(near);
    far_ = test::UniqueFd(far);
  }

  // In a turn: the loop finds the stream's socket ready.
  void report() { poller_.report(fd_); }
  void say(std::string_view text) {
    ASSERT_EQ(::send(far_.get(), text.data(), text.size(), MSG_DONTWAIT), static_cast<ssize_t>(text.size()));
  }
  void say_and_report(std::string_view text) {
    say(text);
    report();
  }
  // What has come at the far end since the last time.
  std::string heard() {
    std::string all;
    std::array<char, 65'536> room;
    for (;;) {
      const ssize_t n = ::recv(far_.get(), room.data(), room.size(), MSG_DONTWAIT);
      if (n <= 0) break;
      all.append(room.data(), static_cast<std::size_t>(n));
    }
    return all;
  }
  // The far end has read everything up to the end of the stream, or an error.
  bool far_ended() {
    char byte = 0;
    const ssize_t n = ::recv(far_.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return n == 0 || (n < 0 && errno != EAGAIN);
  }
  bool near_is_open() const { return ::fcntl(fd_, F_GETFD) != -1; }
  // The far end reads until it has heard so much, turn by turn, and the loop finds that there is room.
  Turn hear(std::size_t size) {
    return [this, size] {
      received_ += heard();
      if (received_.size() >= size) return;
      report();
      poller_.turns.push_front(hear(size));
    };
  }
  // A wait in which nothing happens until its time is over.
  Turn wait_out() {
    return [this] {
      ASSERT_GE(poller_.last_timeout(), std::chrono::nanoseconds(0)) << "this one is for ever";
      clock_.advance(poller_.last_timeout());
    };
  }
  // As another thread would: what makes the difference is whose thread the queue believes it to be.
  void from_elsewhere(const std::function<void()>& act) {
    loop_.queue()->leave_thread();
    act();
    loop_.queue()->enter_thread();
  }

  const Names& changes() { return poller_.changes(fd_); }
  Names before_shutdown() const { return {log_.begin(), std::find(log_.begin(), log_.end(), "shutdown")}; }
  // Nobody but the test has a reference to it.
  bool is_freed() const { return EndpointAccess::endpoint(conn_)->unshared(); }

  void on_shutdown() noexcept override {
    log_.emplace_back("shutdown");
    host_.begin_shutdown(drain_until_);
  }
  void on_tick() noexcept override {}
  void on_sweep() noexcept override { host_.sweep(); }
  bool done() noexcept override { return !drains_ || host_.empty(); }
  void on_end() noexcept override { host_.end(); }

  // Reported beside the stream, it stands for another connection: what its callback does.
  struct Other : Pollable {
    void on_ready() noexcept override { act(); }
    std::function<void()> act;
  };

  static std::string much() { return std::string(1'000'000, 'x'); }  // more than a socket takes

  test::FakeClock clock_;
  Other other_;
  Names log_;
  Events events_;
  StopFlag stop_;
  FakeServer server_{stop_};
  std::unique_ptr<test::FakePoller> owned_ = std::make_unique<test::FakePoller>();
  test::FakePoller& poller_ = *owned_;
  Loop loop_{0, std::move(owned_), stop_};
  StreamHost host_{loop_, events_, server_};
  bool drains_ = false;  // a shutdown waits until there are no connections
  Timer::TimePoint drain_until_ = Timer::kNever;
  FileDescriptor near_;
  int fd_ = -1;  // its number, for as long as the stream has it
  Addr local_;
  Addr remote_;
  test::UniqueFd far_;
  Conn conn_;
  std::string received_;  // by hear()
};

}  // namespace evio::internal
