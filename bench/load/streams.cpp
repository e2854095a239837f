#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "link.hpp"
#include "measure.hpp"
#include "options.hpp"
#include "pattern.hpp"
#include "proc.hpp"
#include "sockets.hpp"

namespace load {

namespace {

struct Stream {
  Link link;
  std::uint64_t number = 0;
  std::uint64_t sent = 0;      // bytes of the stream that went out,
  std::uint64_t due = 0;       // shall go out,
  std::uint64_t received = 0;  // and came back
  std::int64_t started = 0;
  bool waits_to_write = false;
};

/// Keeps `pipeline` messages in flight on each active connection and checks every byte that comes back.
/// Thread-safety: belongs to its thread.
class StreamLoad {
 public:
  StreamLoad(const Options& options, const Pattern& pattern, int thread, const Window& window, Result& result)
      : options_(options), pattern_(pattern), window_(window), result_(result), poller_(epoll_create1(EPOLL_CLOEXEC)) {
    if (poller_.get() < 0) fail("epoll_create1");
    for (int i = thread; i < options.connections; i += options.threads) open(static_cast<std::uint64_t>(i));
  }

  void run() {
    const std::size_t active = wanted_active();
    for (std::size_t i = 0; i < active; ++i) begin(streams_[i * streams_.size() / active], now());
    std::array<epoll_event, 256> events{};
    while (busy_ > 0) {
      const int count = epoll_wait(poller_.get(), events.data(), static_cast<int>(events.size()), kStalled);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) fail("no echo for ten seconds");
      for (int i = 0; i < count; ++i) {
        Stream& stream = streams_[events[static_cast<std::size_t>(i)].data.u64];
        const std::uint32_t ready = events[static_cast<std::size_t>(i)].events;
        if ((ready & EPOLLOUT) != 0) write(stream);
        if ((ready & ~EPOLLOUT) != 0) read(stream);
      }
    }
  }

 private:
  static constexpr int kStalled = 10'000;

  std::size_t wanted_active() const {
    if (options_.active == 0) return streams_.size();
    return std::max<std::size_t>(1, streams_.size() * static_cast<std::size_t>(options_.active) /
                                        static_cast<std::size_t>(options_.connections));
  }

  void open(std::uint64_t number) {
    Stream stream;
    stream.link = connect_link(options_, number, false);
    stream.number = number;
    streams_.push_back(std::move(stream));
    watch(EPOLL_CTL_ADD, streams_.size() - 1, EPOLLIN);
  }

  void watch(int operation, std::size_t index, std::uint32_t interest) {
    epoll_event event{};
    event.events = interest;
    event.data.u64 = index;
    if (epoll_ctl(poller_.get(), operation, streams_[index].link.fd(), &event) != 0) fail("epoll_ctl");
  }

  void wait_to_write(Stream& stream, bool wait) {
    if (stream.waits_to_write == wait) return;
    stream.waits_to_write = wait;
    watch(EPOLL_CTL_MOD, static_cast<std::size_t>(&stream - streams_.data()), wait ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }

  void begin(Stream& stream, std::int64_t moment) {
    if (moment >= window_.end) return;
    stream.started = moment;
    stream.due += options_.size * static_cast<std::size_t>(options_.pipeline);
    ++busy_;
    write(stream);
  }

  void write(Stream& stream) {
    while (stream.sent < stream.due) {
      const auto bytes = pattern_.at(stream.number, stream.sent, static_cast<std::size_t>(stream.due - stream.sent));
      const ssize_t size = stream.link.send(bytes);
      if (size < 0 && errno == EAGAIN) return wait_to_write(stream, true);
      if (size < 0) fail("send");
      stream.sent += static_cast<std::uint64_t>(size);
    }
    wait_to_write(stream, false);
  }

  void read(Stream& stream) {
    do {
      if (!read_once(stream)) return;
    } while (stream.link.holds_more());
  }

  bool read_once(Stream& stream) {
    const ssize_t size = stream.link.receive(buffer_->data(), buffer_->size());
    if (size < 0 && errno == EAGAIN) return false;
    if (size < 0) fail("recv");
    if (size == 0) fail("the server closed a connection");
    const std::string_view bytes(buffer_->data(), static_cast<std::size_t>(size));
    if (stream.received + bytes.size() > stream.sent || !pattern_.matches(stream.number, stream.received, bytes)) {
      wrong_byte(" in stream " + std::to_string(stream.number) + " differs at or after byte " +
                 std::to_string(stream.received));
    }
    const std::uint64_t before = stream.received / options_.size;
    stream.received += bytes.size();
    const std::int64_t moment = now();
    note(stream, stream.received / options_.size - before, moment);
    if (stream.received < stream.due) return true;
    --busy_;
    begin(stream, moment);
    return true;
  }

  void note(const Stream& stream, std::uint64_t messages, std::int64_t moment) {
    if (messages == 0 || !window_.holds(moment)) return;
    result_.messages += messages;
    result_.latency.add(moment - stream.started, messages);
  }

  const Options& options_;
  const Pattern& pattern_;
  const Window& window_;
  Result& result_;
  Descriptor poller_;
  std::vector<Stream> streams_;
  std::size_t busy_ = 0;
  std::unique_ptr<std::array<char, Pattern::kAtOnce>> buffer_ = std::make_unique<std::array<char, Pattern::kAtOnce>>();
};

/// Sends a request at any moment, a millisecond after the last answer on average, and waits for its echo.
void ask_now_and_then(const Options& options, const Pattern& pattern, const Window& window, Result& result) {
  constexpr std::size_t kSize = 6;
  constexpr std::int64_t kPause = 2'000'000;
  const auto number = static_cast<std::uint64_t>(options.connections);
  Link connection = connect_link(options, number, true);
  std::vector<char> buffer(kSize);
  std::minstd_rand random;
  std::uniform_int_distribution<std::int64_t> pause(0, kPause);
  run_ahead_of_others();  // a request must not wait for the load beside it on its own side
  for (std::uint64_t sent = 0;; sent += kSize) {
    std::this_thread::sleep_for(std::chrono::nanoseconds(pause(random)));
    const std::int64_t begin = now();
    if (begin >= window.end) return;
    const std::string_view request = pattern.at(number, sent, kSize);
    send_all(connection, request);
    if (!receive_all(connection, request, buffer)) wrong_byte(" in an answer");
    const std::int64_t end = now();
    if (!window.holds(end)) continue;
    ++result.messages;
    result.latency.add(end - begin);
  }
}

}  // namespace

int run_streams(const Options& options) {
  const Pattern pattern;
  return measure(options, [&](int thread, const Window& window, Result& result) {
    StreamLoad(options, pattern, thread, window, result).run();
  });
}

// What a request of six bytes waits for while other connections of its loop carry blocks of `size` bytes.
int run_beside(const Options& options) {
  const Pattern pattern;
  Options both = options;
  ++both.threads;
  return measure(both, [&](int thread, const Window& window, Result& result) {
    if (thread == options.threads) return ask_now_and_then(options, pattern, window, result);
    Result blocks;
    StreamLoad(options, pattern, thread, window, blocks).run();
    result.blocks = blocks.messages;
  });
}

}  // namespace load
