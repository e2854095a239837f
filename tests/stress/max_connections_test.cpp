// Ten thousand clients against a limit of a thousand, on 4 loops: never one more is open, all of them are served, and
// the figures agree with the clients' own to the byte.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/stress/crowd.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

constexpr std::size_t kVisitsEach = 10;  // of each place

// A thousand, or, with a word about it, as many as may be: there are twice as many clients as places.
std::size_t how_many_places() {
  constexpr std::size_t kOthers = 200;  // descriptors
  const std::size_t wanted = kSanitized ? 200 : 1'000;
  const std::size_t limit = raise_descriptor_limit();
  if (limit >= 3 * wanted + kOthers) return wanted;
  std::cout << "only " << limit << " descriptors may be open (ulimit -Hn): fewer places than " << wanted << "\n";
  return (limit - kOthers) / 3;
}

UniqueFd start_to_connect(const Addr& server) {
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (server.network() == "unix") {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    server.path().copy(address.sun_path, sizeof(address.sun_path) - 1);
    std::memcpy(&storage, &address, size = sizeof(address));
  } else {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(server.port()));
    std::memcpy(&storage, &address, size = sizeof(address));
  }
  UniqueFd fd(::socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const bool begun = ::connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), size) == 0 || errno == EINPROGRESS;
  return begun ? std::move(fd) : UniqueFd();  // a unix socket's backlog may be full
}

/// How a visit ends: by the client, in a friendly way or not, or by the server, when it has heard the last byte.
enum class End : std::uint8_t { kHalfClose, kReset, kClose, kDetach };
constexpr std::string_view kLastByte = "hrcd";

/// One visit: sends its text, reads it back, and ends.
class Visit {
 public:
  Visit(UniqueFd fd, std::size_t number) : fd_(std::move(fd)), end_(static_cast<End>(number % 4)) {
    text_ = std::string(1 + number * 37 % 5'000, 'x') + kLastByte[number % 4];
  }

  int fd() const { return fd_.get(); }
  bool is_over() const { return over_; }
  std::uint64_t sent() const { return sent_; }
  std::uint64_t received() const { return received_; }
  bool is_right() const { return received_ == text_.size(); }

  // As far as the socket lets it.
  void go_on() {
    while (sent_ != text_.size()) {
      const auto sent = ::send(fd(), text_.data() + sent_, text_.size() - sent_, MSG_NOSIGNAL);
      if (sent < 0) return end_unless_blocked();
      sent_ += static_cast<std::size_t>(sent);
    }
    std::array<char, 8192> buffer;
    for (;;) {
      const auto got = ::recv(fd(), buffer.data(), buffer.size(), 0);
      if (got < 0) return end_unless_blocked();
      received_ += static_cast<std::size_t>(got);
      over_ = got == 0 || (end_ == End::kReset && is_right());
      if (over_) return;
      if (end_ == End::kHalfClose && is_right()) ::shutdown(fd(), SHUT_WR);
    }
  }
  void leave() {
    if (end_ == End::kReset) {
      const linger now{1, 0};
      ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    fd_.reset();
  }

 private:
  void end_unless_blocked() { over_ = errno != EAGAIN; }

  UniqueFd fd_;
  std::string text_;
  End end_;
  bool over_ = false;
  std::size_t sent_ = 0;
  std::size_t received_ = 0;
};

/// All visits, so many of them at once. Thread-safety: one thread.
class Visitors {
 public:
  Visitors(const Addr& server, std::size_t visits, std::size_t at_once)
      : server_(server), visits_(visits), at_once_(at_once), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

  // As many as may be at once.
  void arrive() {
    while (begun_ != visits_ && visiting_.size() != at_once_) {
      UniqueFd fd = start_to_connect(server_);
      if (!fd.valid()) return;
      epoll_event event{};
      event.events = static_cast<std::uint32_t>(EPOLLIN) | static_cast<std::uint32_t>(EPOLLOUT) |
                     static_cast<std::uint32_t>(EPOLLET);
      event.data.ptr = visiting_.emplace_back(std::make_unique<Visit>(std::move(fd), begun_++)).get();
      ASSERT_EQ(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, visiting_.back()->fd(), &event), 0);
    }
  }
  // Until the last one is over; false if nothing happens any more.
  bool talk() {
    std::array<epoll_event, 256> events{};
    for (arrive(); !visiting_.empty(); arrive()) {
      const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                     static_cast<int>(kPatience.count()));
      if (count == 0) return false;
      for (int i = 0; i < count; ++i) {
        Visit& visit = *static_cast<Visit*>(events.at(static_cast<std::size_t>(i)).data.ptr);
        if (!visit.is_over()) visit.go_on();
      }
      std::erase_if(visiting_, [this](const auto& visit) { return visit->is_over() && take_leave(*visit); });
    }
    return true;
  }

  std::uint64_t right() const { return right_; }
  std::uint64_t sent() const { return sent_; }
  std::uint64_t received() const { return received_; }

 private:
  bool take_leave(Visit& visit) {
    visit.leave();
    if (visit.is_right()) ++right_;
    sent_ += visit.sent();
    received_ += visit.received();
    return true;
  }

  const Addr server_;
  const std::size_t visits_;
  const std::size_t at_once_;
  const UniqueFd epoll_;
  std::vector<std::unique_ptr<Visit>> visiting_;
  std::size_t begun_ = 0;
  std::uint64_t right_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
};

class MaxConnectionsTest : public ModeTest {
 protected:
  Events counting(std::size_t places) {
    Events handlers = events();
    handlers.max_connections = static_cast<int>(places);
    handlers.accepting = [this, places](int, const Addr&) {
      const std::size_t now = ++open_;
      EXPECT_LE(now, places);
      return true;
    };
    handlers.opened = [this](Conn&, Output&, Options&) {
      opened_.add();
      return Action::None;
    };
    handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
      echo(conn, in, out);
      if (in.view().ends_with('c')) return Action::Close;
      return in.view().ends_with('d') ? Action::Detach : Action::None;
    };
    handlers.closed = [this](Conn&, const Error&) {
      --open_;
      ended_.add();
      return Action::None;
    };
    handlers.detached = [this](Conn&, const DetachedConn&) {
      --open_;
      ended_.add();
      return Action::None;
    };
    return handlers;
  }

  std::atomic<std::size_t> open_{0};  // from accept to the end of its last callback
  Counter opened_;
  Counter ended_;
};
EVIO_INSTANTIATE(MaxConnectionsTest, modes_of({4}));

TEST_P(MaxConnectionsTest, AreNeverExceededAndEverybodyIsServed) {
  const std::size_t places = how_many_places();
  const std::size_t visits = kVisitsEach * places;
  TestServer server(counting(places), address());
  Visitors visitors(server.addr(), visits, 2 * places);
  visitors.arrive();
  ASSERT_TRUE(opened_.wait_for(places));
  EXPECT_EQ(open_, places) << "the others wait";
  EXPECT_TRUE(visitors.talk()) << ended_.value() << " of " << visits << " were served";
  EXPECT_EQ(visitors.right(), visits);
  ASSERT_TRUE(ended_.wait_for(visits)) << ended_.value();
  server.shutdown();
  EXPECT_FALSE(server.wait());
  EXPECT_EQ(open_, 0u);
  const Stats all = server.handle().stats();
  EXPECT_EQ(all.accepted, visits);
  EXPECT_EQ(all.closed, visits);
  EXPECT_EQ(all.bytes_read, visitors.sent());
  EXPECT_EQ(all.bytes_written, visitors.received());
  EXPECT_EQ(all.connections, 0u);
  EXPECT_EQ(all.pending, 0u);
  EXPECT_EQ(all.rejected + all.aborted + all.timed_out + all.accept_errors, 0u);
  Stats sum;
  for (int loop = 0; loop != server.handle().num_loops(); ++loop) {
    const Stats one = server.handle().stats(loop);
    EXPECT_GT(one.accepted, 0u) << loop;
    sum.accepted += one.accepted;
    sum.bytes_read += one.bytes_read;
    sum.bytes_written += one.bytes_written;
  }
  EXPECT_EQ(sum.accepted, visits);
  EXPECT_EQ(sum.bytes_read, visitors.sent());
  EXPECT_EQ(sum.bytes_written, visitors.received());
}

}  // namespace
}  // namespace evio::test
