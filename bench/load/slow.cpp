#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "options.hpp"
#include "pattern.hpp"
#include "proc.hpp"
#include "sockets.hpp"

namespace load {

namespace {

/// Opens connections that ask for a long answer, which is all zeros, and read it late.
/// Thread-safety: one thread.
class SlowReaders {
 public:
  explicit SlowReaders(const Options& options) : options_(options), buffer_(Pattern::kAtOnce) {}

  /// One more connects and asks. The server has begun to answer when this returns.
  void ask() {
    readers_.push_back(connect_tcp(options_.port, readers_.size(), true, kSegment));
    const int fd = readers_.back().get();
    send_all(fd, std::string_view("hello\n"));
    pollfd wait{fd, POLLIN, 0};
    if (poll(&wait, 1, kStalled) <= 0) fail("no answer");
  }

  /// Reads all that one of them waits for.
  void read(std::size_t reader) {
    const int fd = readers_[reader].get();
    for (std::size_t left = options_.burst; left > 0;) {
      const ssize_t size = recv(fd, buffer_.data(), std::min(buffer_.size(), left), 0);
      if (size <= 0) fail("recv");
      if (std::any_of(buffer_.begin(), buffer_.begin() + size, [](char c) { return c != 0; })) wrong_byte();
      left -= static_cast<std::size_t>(size);
    }
  }

 private:
  static constexpr int kStalled = 10'000;
  static constexpr int kSegment = 1448;  // as on an Ethernet: with the loopback's own the kernel would hold megabytes

  const Options& options_;
  std::vector<Descriptor> readers_;
  std::vector<char> buffer_;
};

}  // namespace

int run_slow(const Options& options) {
  const auto count = static_cast<std::size_t>(options.connections);
  SlowReaders readers(options);
  // The first is left out: it makes what a server keeps for all connections together.
  readers.ask();
  readers.read(0);
  const auto before = static_cast<double>(settled_resident_bytes(options.pid));
  for (std::size_t i = 1; i <= count; ++i) readers.ask();
  const auto held = static_cast<double>(settled_resident_bytes(options.pid));
  for (std::size_t i = 1; i <= count; ++i) readers.read(i);
  const auto after = static_cast<double>(settled_resident_bytes(options.pid));
  std::printf("held_bytes=%.0f left_bytes=%.0f\n", held - before, after - before);
  return 0;
}

}  // namespace load
