// Guarantee 16 under load: 100,000 datagrams from 8 senders over 4 loops, at a rate the receive buffers hold. None is
// lost, doubled or out of order, and what has gathered costs a few system calls.
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include <array>
#include <atomic>
#include <iostream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/datagram_client.hpp"
#include "tests/support/fixture.hpp"

namespace {

// What the loops call; the senders call others. relaxed throughout: plain counts, read when the threads are joined.
std::atomic<std::uint64_t> receives{0};
std::atomic<std::uint64_t> answers{0};
std::atomic<std::uint64_t> sends{0};
std::atomic<std::uint64_t> waits{0};
thread_local bool is_sender = false;

void count(std::atomic<std::uint64_t>& calls) {
  if (!is_sender) calls.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

extern "C" {
int __real_recvmmsg(int fd, mmsghdr* messages, unsigned size, int flags, timespec* timeout);
int __wrap_recvmmsg(int fd, mmsghdr* messages, unsigned size, int flags, timespec* timeout) {
  count(receives);
  return __real_recvmmsg(fd, messages, size, flags, timeout);
}
int __real_sendmmsg(int fd, mmsghdr* messages, unsigned size, int flags);
int __wrap_sendmmsg(int fd, mmsghdr* messages, unsigned size, int flags) {
  count(answers);
  return __real_sendmmsg(fd, messages, size, flags);
}
ssize_t __real_sendmsg(int fd, const msghdr* message, int flags);
ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {
  count(sends);
  return __real_sendmsg(fd, message, flags);
}
int __real_epoll_wait(int epoll, epoll_event* events, int size, int timeout);
int __wrap_epoll_wait(int epoll, epoll_event* events, int size, int timeout) {
  count(waits);
  return __real_epoll_wait(epoll, events, size, timeout);
}
int __real_epoll_pwait2(int epoll, epoll_event* events, int size, const timespec* timeout, const sigset_t* mask);
int __wrap_epoll_pwait2(int epoll, epoll_event* events, int size, const timespec* timeout, const sigset_t* mask) {
  count(waits);
  return __real_epoll_pwait2(epoll, events, size, timeout, mask);
}
int __real_poll(pollfd* fds, nfds_t size, int timeout);
int __wrap_poll(pollfd* fds, nfds_t size, int timeout) {
  count(waits);
  return __real_poll(fds, size, timeout);
}
}

namespace evio::test {
namespace {

constexpr int kSenders = 8;
constexpr int kEach = 12'500;
constexpr int kTotal = kSenders * kEach;
// Datagrams of one sender on their way at once: all of them together fit one socket's buffer of the usual size, should
// the kernel's hash put every sender on one loop.
constexpr int kWindow = 24;
constexpr int kLoops = 4;

struct Load {
  std::string scheme;
  std::string ip;
  bool reuse_port = true;
  bool by_send = false;  // every third answer is sent, not put out
};

class UdpLoadTest : public ServerTest, public testing::WithParamInterface<Load> {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    receives = answers = sends = waits = 0;
  }
};

struct LoadName {
  std::string operator()(const testing::TestParamInfo<Load>& info) const {
    std::string name = info.param.scheme + (info.param.reuse_port ? "_reuseport" : "_one_socket") +
                       (info.param.ip == "::1" ? "_v6" : "_v4") + (info.param.by_send ? "_send" : "");
    for (char& c : name) c = c == '-' ? '_' : c;
    return name;
  }
};

INSTANTIATE_TEST_SUITE_P(, UdpLoadTest,
                         testing::Values(Load{"udp", "127.0.0.1", true, false}, Load{"udp", "::1", true, false},
                                         Load{"udp", "127.0.0.1", true, true},
                                         Load{"udp-net", "127.0.0.1", true, false},
                                         Load{"udp", "127.0.0.1", false, false}),
                         LoadName());

// What the server has heard: of each sender how many, and whether one was not the next.
struct Heard {
  struct Sender {
    std::atomic<int> next{0};  // written on one loop; read at the end
    std::atomic<int> loop{-1};
  };
  std::array<Sender, kSenders> senders;
  std::atomic<int> out_of_order{0};
  std::atomic<int> on_another_loop{0};

  void add(const Conn& conn, const std::string& text) {
    const std::size_t colon = text.find(':');
    Sender& sender = senders.at(static_cast<std::size_t>(std::stoi(text.substr(0, colon))));
    if (std::stoi(text.substr(colon + 1)) != sender.next.fetch_add(1)) ++out_of_order;
    const int before = sender.loop.exchange(conn.loop_index());
    if (before != -1 && before != conn.loop_index()) ++on_another_loop;
  }
};

// Keeps a window of datagrams on their way and checks that each answer is the next. Returns how many were.
int converse(DatagramClient& client, const std::string& name) {
  is_sender = true;
  int sent = 0;
  int received = 0;
  while (received != kEach) {
    for (; sent != kEach && sent - received < kWindow; ++sent) client.send(name + ":" + std::to_string(sent));
    // At least one, and what else has come.
    for (auto packet = std::optional<Packet>(client.receive()); packet; packet = client.poll()) {
      if (packet->text != name + ":" + std::to_string(received)) {
        ADD_FAILURE() << packet->text << " came for " << received;
        return received;
      }
      ++received;
    }
  }
  return received;
}

TEST_P(UdpLoadTest, NoneIsLostDoubledOrOutOfOrder) {
  Heard heard;
  Events handlers;
  handlers.num_loops = kLoops;
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    const std::string text = in.str();
    heard.add(conn, text);
    if (GetParam().by_send && text.back() % 3 == 0) {
      EXPECT_TRUE(conn.send(in));
    } else {
      out = in;
    }
    return Action::None;
  };
  {
    TestServer server(handlers, GetParam().scheme + "://:0" + (GetParam().reuse_port ? "?reuseport=true" : ""));
    std::vector<std::thread> threads;
    std::atomic<int> received{0};
    for (int i = 0; i != kSenders; ++i) {
      threads.emplace_back([&, i] {
        DatagramClient client(GetParam().ip, server.addr().port());
        received += converse(client, std::to_string(i));
        EXPECT_TRUE(client.is_quiet());
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(received.load(), kTotal);
  }
  for (const Heard::Sender& sender : heard.senders) EXPECT_EQ(sender.next.load(), kEach);
  EXPECT_EQ(heard.out_of_order.load(), 0);
  EXPECT_EQ(heard.on_another_loop.load(), 0);
  const auto calls = receives.load() + answers.load() + sends.load() + waits.load();
  const double each = static_cast<double>(calls) / kTotal;
  std::cout << calls << " system calls for " << kTotal << " datagrams, " << each << " each: recvmmsg " << receives
            << ", sendmmsg " << answers << ", sendmsg " << sends << ", waits " << waits << "\n";
}

// How many gather by themselves is for the scheduler to say: here a loop is held until all have.
TEST_P(UdpLoadTest, ABacklogTakesAFewCalls) {
  if (GetParam().by_send) GTEST_SKIP() << "each send is a call of its own";
  constexpr std::uint64_t kGathered = 48;
  is_sender = true;
  Gate held;
  Gate go_on;
  Events handlers;
  handlers.num_loops = kLoops;
  handlers.data = [&](Conn&, const Bytes& in, Output& out) {
    if (in == "hold") {
      held.open();
      EXPECT_TRUE(go_on.wait());
    }
    out = in;
    return Action::None;
  };
  TestServer server(handlers, GetParam().scheme + "://:0" + (GetParam().reuse_port ? "?reuseport=true" : ""));
  const OpensAtEnd opens(go_on);
  DatagramClient client(GetParam().ip, server.addr().port());
  client.send("hold");
  ASSERT_TRUE(held.wait());
  for (std::uint64_t i = 0; i != kGathered; ++i) client.send(std::to_string(i));
  const auto calls = [] { return receives.load() + answers.load() + sends.load() + waits.load(); };
  const std::uint64_t before = calls();
  go_on.open();
  EXPECT_EQ(client.receive_text(), "hold");
  for (std::uint64_t i = 0; i != kGathered; ++i) EXPECT_EQ(client.receive_text(), std::to_string(i));
  EXPECT_LT(calls() - before, kGathered / 2);
}

}  // namespace
}  // namespace evio::test
