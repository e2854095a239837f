#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <thread>
#include <vector>

#include "latency.hpp"
#include "link.hpp"
#include "options.hpp"
#include "pattern.hpp"
#include "proc.hpp"
#include "sockets.hpp"

namespace load {

namespace {

/// Many TLS handshakes at once. Thread-safety: belongs to its thread.
class Flood {
 public:
  explicit Flood(const Options& options) : poller_(epoll_create1(EPOLL_CLOEXEC)) {
    if (poller_.get() < 0) fail("epoll_create1");
    for (int i = 0; i < options.connections; ++i) {
      const auto source = static_cast<std::uint64_t>(i);
      links_.emplace_back(connect_tcp(options.port, source, true), true);
      stop_blocking(links_.back().fd());
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = source;
      if (epoll_ctl(poller_.get(), EPOLL_CTL_ADD, links_.back().fd(), &event) != 0) fail("epoll_ctl");
    }
  }

  /// All say hello before any goes on.
  void run() {
    std::size_t left = links_.size();
    for (Link& link : links_) {
      if (link.handshake() != Tls::Wants::kRead) fail("a hello was not sent");
    }
    std::array<epoll_event, 256> events{};
    while (left > 0) {
      const int count = epoll_wait(poller_.get(), events.data(), static_cast<int>(events.size()), kStalled);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) fail("no handshake for ten seconds");
      for (int i = 0; i < count; ++i) left -= go_on(links_[events[static_cast<std::size_t>(i)].data.u64]) ? 1 : 0;
    }
  }

 private:
  static constexpr int kStalled = 10'000;

  // Whether it is done.
  bool go_on(Link& link) {
    if (link.handshake() != Tls::Wants::kNothing) return false;
    if (epoll_ctl(poller_.get(), EPOLL_CTL_DEL, link.fd(), nullptr) != 0) fail("epoll_ctl");
    return true;
  }

  Descriptor poller_;
  std::vector<Link> links_;
};

struct Asked {
  Latency latency;
  std::int64_t worst = 0;
};

/// Asks again and again until it is over, one question at least, each answered before the next.
Asked ask_until(const std::atomic<bool>& over, Link& link) {
  constexpr std::string_view kQuestion = "hello\n";
  std::vector<char> buffer(kQuestion.size());
  Asked asked;
  do {
    const std::int64_t begin = now();
    send_all(link, kQuestion);
    if (!receive_all(link, kQuestion, buffer)) wrong_byte(" in an answer");
    const std::int64_t time = now() - begin;
    asked.latency.add(time);
    asked.worst = std::max(asked.worst, time);
  } while (!over.load(std::memory_order_relaxed));
  return asked;
}

}  // namespace

// What a connection that asks for six bytes waits for while others shake hands, all at once.
int run_flood(const Options& given) {
  Options options = given;
  options.tls = true;
  Link link = connect_link(options, static_cast<std::uint64_t>(options.connections), true);
  ask_until(true, link);
  Flood flood(options);
  std::atomic<bool> over = false;
  std::int64_t took = now();
  std::jthread shakes([&] {
    flood.run();
    took = now() - took;
    over.store(true, std::memory_order_release);
  });
  run_ahead_of_others();
  const Asked asked = ask_until(over, link);
  shakes.join();
  std::printf("asks=%llu worst_us=%.0f p99_us=%.0f p50_us=%.0f flood_us=%.0f\n",
              static_cast<unsigned long long>(asked.latency.count()), static_cast<double>(asked.worst) / 1000,
              asked.latency.microseconds(0.99), asked.latency.microseconds(0.5), static_cast<double>(took) / 1000);
  return 0;
}

}  // namespace load
