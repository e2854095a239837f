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

struct Source {
  Descriptor fd;
  std::uint64_t number = 0;
  std::uint64_t offset = 0;
  std::int64_t started = 0;
  bool busy = false;
};

/// Keeps one datagram in flight on each socket. One that does not come back in time counts as lost and the next is
/// sent. Thread-safety: belongs to its thread.
class DatagramLoad {
 public:
  DatagramLoad(const Options& options, const Pattern& pattern, int thread, const Window& window, Result& result)
      : options_(options), pattern_(pattern), window_(window), result_(result), poller_(epoll_create1(EPOLL_CLOEXEC)) {
    if (poller_.get() < 0) fail("epoll_create1");
    for (int i = thread; i < options.connections; i += options.threads) {
      sources_.push_back({connect_udp(options.port, false), static_cast<std::uint64_t>(i), 0, 0, false});
    }
    for (Source& source : sources_) {
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.ptr = &source;
      if (epoll_ctl(poller_.get(), EPOLL_CTL_ADD, source.fd.get(), &event) != 0) fail("epoll_ctl");
    }
  }

  void run() {
    for (Source& source : sources_) begin(source, now());
    std::array<epoll_event, 256> events{};
    while (busy_ > 0) {
      const int count = epoll_wait(poller_.get(), events.data(), static_cast<int>(events.size()), kLateMilliseconds);
      if (count < 0 && errno != EINTR) fail("epoll_wait");
      for (int i = 0; i < count; ++i) read(*static_cast<Source*>(events[static_cast<std::size_t>(i)].data.ptr));
      if (count == 0) give_up_late();
    }
  }

 private:
  static constexpr int kLateMilliseconds = 200;

  void begin(Source& source, std::int64_t moment) {
    if (moment >= window_.end) return;
    const auto bytes = pattern_.at(source.number, source.offset, options_.size);
    if (send(source.fd.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) fail("send");
    source.started = moment;
    source.busy = true;
    ++busy_;
  }

  void finish(Source& source, std::int64_t moment) {
    source.offset += options_.size;
    source.busy = false;
    --busy_;
    begin(source, moment);
  }

  void read(Source& source) {
    const ssize_t size = recv(source.fd.get(), buffer_.data(), buffer_.size(), 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size < 0) fail("recv");
    const std::string_view bytes(buffer_.data(), static_cast<std::size_t>(size));
    if (!source.busy || bytes != pattern_.at(source.number, source.offset, options_.size)) {
      wrong_byte();
    }
    const std::int64_t moment = now();
    if (window_.holds(moment)) {
      ++result_.messages;
      result_.latency.add(moment - source.started);
    }
    finish(source, moment);
  }

  void give_up_late() {
    for (Source& source : sources_) {
      if (!source.busy) continue;
      ++result_.lost;
      finish(source, now());
    }
  }

  const Options& options_;
  const Pattern& pattern_;
  const Window& window_;
  Result& result_;
  Descriptor poller_;
  std::vector<Source> sources_;
  std::size_t busy_ = 0;
  std::array<char, 65536> buffer_{};
};

}  // namespace

int run_datagrams(const Options& options) {
  const Pattern pattern;
  return measure(options, [&](int thread, const Window& window, Result& result) {
    DatagramLoad(options, pattern, thread, window, result).run();
  });
}

}  // namespace load
