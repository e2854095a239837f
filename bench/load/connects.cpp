#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "link.hpp"
#include "measure.hpp"
#include "options.hpp"
#include "pattern.hpp"
#include "sockets.hpp"

namespace load {

namespace {

struct Visit {
  Link link;
  Tls::Session session;  // to go on with
  bool offered = false;  // this time
  bool asked = false;
  std::uint64_t number = 0;
  std::size_t received = 0;
  std::int64_t started = 0;
  std::uint32_t interest = 0;
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
    if (epoll_ctl(poller_.get(), operation, visit.link.fd(), &event) != 0) fail("epoll_ctl");
  }

  // On the loopback a connection is made when connect(2) returns; when the backlog is full it is not, and epoll tells.
  void begin(Visit& visit) {
    visit.started = now();
    if (visit.started >= window_.end) return;
    visit.number = next_++;
    visit.received = 0;
    visit.asked = false;
    visit.link = Link(connect_tcp(options_.port, visit.number, false), options_.tls);
    visit.offered = visit.session != nullptr;
    if (visit.offered) visit.link.tls()->offer(visit.session);
    ++busy_;
    visit.interest = ask(visit);
    watch(visit, EPOLL_CTL_ADD, visit.interest);
  }

  // Returns what is to be waited for.
  std::uint32_t ask(Visit& visit) const {
    const Tls::Wants wanted = visit.link.handshake();
    if (wanted != Tls::Wants::kNothing) return wanted == Tls::Wants::kRead ? EPOLLIN : EPOLLOUT;
    const auto bytes = pattern_.at(visit.number, 0, options_.size);
    const ssize_t size = visit.link.send(bytes);
    if (size < 0 && (errno == EAGAIN || errno == ENOTCONN)) return EPOLLOUT;
    if (size != static_cast<ssize_t>(bytes.size())) fail("send");
    visit.asked = true;
    return EPOLLIN;
  }

  void ready(const epoll_event& event) {
    Visit& visit = *static_cast<Visit*>(event.data.ptr);
    if (visit.asked) return read(visit);
    const std::uint32_t interest = ask(visit);
    if (std::exchange(visit.interest, interest) != interest) watch(visit, EPOLL_CTL_MOD, interest);
  }

  void read(Visit& visit) {
    const ssize_t size = visit.link.receive(buffer_.data(), buffer_.size());
    if (size < 0 && errno == EAGAIN) return;  // the session's tickets
    if (size <= 0) fail("recv");
    const std::string_view bytes(buffer_.data(), static_cast<std::size_t>(size));
    if (!pattern_.matches(visit.number, visit.received, bytes)) {
      wrong_byte();
    }
    visit.received += bytes.size();
    if (visit.received < options_.size) return visit.link.holds_more() ? read(visit) : void();
    if (visit.received > options_.size) {
      wrong_byte();
    }
    finish(visit);
  }

  void finish(Visit& visit) {
    const bool resumed = keep_session(visit);
    visit.link.close();
    --busy_;
    const std::int64_t moment = now();
    if (window_.holds(moment)) {
      ++result_.messages;
      result_.resumed += resumed ? 1 : 0;
      result_.latency.add(moment - visit.started);
    }
    begin(visit);
  }

  // Whether it has gone on with the one that it had.
  bool keep_session(Visit& visit) const {
    if (visit.link.tls() == nullptr) return false;
    const bool resumed = visit.link.tls()->resumed();
    if (resumed != visit.offered) fail(resumed ? "a session was resumed" : "a session was not resumed");
    if (options_.resume) visit.session = visit.link.tls()->session();
    return resumed;
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
