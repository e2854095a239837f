#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <vector>

#include "measure.hpp"
#include "options.hpp"
#include "pattern.hpp"
#include "sockets.hpp"

namespace load {

namespace {

struct Visit {
  Descriptor fd;
  std::uint64_t number = 0;
  std::size_t received = 0;
  std::int64_t started = 0;
};

/// Connects, has one message echoed, closes, and begins again, on so many connections at a time.
/// Thread-safety: belongs to its thread.
class ConnectLoad {
 public:
  ConnectLoad(const Options& options, const Pattern& pattern, int thread, const Window& window, Result& result)
      : options_(options),
        pattern_(pattern),
        window_(window),
        result_(result),
        poller_(epoll_create1(EPOLL_CLOEXEC)),
        next_(static_cast<std::uint64_t>(thread) << 32U),
        visits_(static_cast<std::size_t>(options.connections / options.threads)),
        buffer_(options.size + 1) {
    if (poller_.get() < 0) fail("epoll_create1");
  }

  void run() {
    for (Visit& visit : visits_) begin(visit);
    std::array<epoll_event, 64> events{};
    while (busy_ > 0) {
      const int count = epoll_wait(poller_.get(), events.data(), static_cast<int>(events.size()), kStalled);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) fail("no echo for ten seconds");
      for (int i = 0; i < count; ++i) ready(events[static_cast<std::size_t>(i)]);
    }
  }

 private:
  static constexpr int kStalled = 10'000;

  void watch(Visit& visit, int operation, std::uint32_t interest) {
    epoll_event event{};
    event.events = interest;
    event.data.ptr = &visit;
    if (epoll_ctl(poller_.get(), operation, visit.fd.get(), &event) != 0) fail("epoll_ctl");
  }

  // On the loopback a connection is made when connect(2) returns; when the backlog is full it is not, and epoll tells.
  void begin(Visit& visit) {
    visit.started = now();
    if (visit.started >= window_.end) return;
    visit.number = next_++;
    visit.received = 0;
    visit.fd = connect_tcp(options_.port, visit.number, false);
    ++busy_;
    watch(visit, EPOLL_CTL_ADD, ask(visit) ? EPOLLIN : EPOLLOUT);
  }

  bool ask(const Visit& visit) const {
    const auto bytes = pattern_.at(visit.number, 0, options_.size);
    const ssize_t size = send(visit.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size < 0 && (errno == EAGAIN || errno == ENOTCONN)) return false;
    if (size != static_cast<ssize_t>(bytes.size())) fail("send");
    return true;
  }

  void ready(const epoll_event& event) {
    Visit& visit = *static_cast<Visit*>(event.data.ptr);
    if ((event.events & EPOLLOUT) != 0) {
      if (!ask(visit)) fail("a writable socket took nothing");
      watch(visit, EPOLL_CTL_MOD, EPOLLIN);
      return;
    }
    const ssize_t size = recv(visit.fd.get(), buffer_.data(), buffer_.size(), 0);
    if (size <= 0) fail("recv");
    const std::string_view bytes(buffer_.data(), static_cast<std::size_t>(size));
    if (!pattern_.matches(visit.number, visit.received, bytes)) {
      wrong_byte();
    }
    visit.received += bytes.size();
    if (visit.received < options_.size) return;
    if (visit.received > options_.size) {
      wrong_byte();
    }
    finish(visit);
  }

  void finish(Visit& visit) {
    visit.fd.reset();
    --busy_;
    const std::int64_t moment = now();
    if (window_.holds(moment)) {
      ++result_.messages;
      result_.latency.add(moment - visit.started);
    }
    begin(visit);
  }

  const Options& options_;
  const Pattern& pattern_;
  const Window& window_;
  Result& result_;
  Descriptor poller_;
  std::uint64_t next_;
  std::vector<Visit> visits_;
  std::vector<char> buffer_;
  std::size_t busy_ = 0;
};

}  // namespace

int run_connects(const Options& options) {
  const Pattern pattern;
  return measure(options, [&](int thread, const Window& window, Result& result) {
    ConnectLoad(options, pattern, thread, window, result).run();
  });
}

}  // namespace load
