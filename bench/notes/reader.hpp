#pragma once

#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "bench/load/sockets.hpp"

namespace notes {

/// Reads numbers of eight bytes from all the clients, on threads that share them, until all of them have come, and
/// checks their order. Thread-safety: one thread makes it and waits.
class Reader {
 public:
  Reader(const std::vector<load::Descriptor>& clients, std::uint64_t count, int threads)
      : clients_(clients), streams_(clients.size()), left_(count * sizeof(std::uint64_t)) {
    const auto number = static_cast<std::size_t>(threads);
    for (std::size_t i = 0; i < number; ++i) threads_.emplace_back([this, i, number] { run(i, number); });
  }

  void wait() {
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  struct Stream {
    std::vector<char> unread;
    std::uint64_t last = 0;
    bool begun = false;
  };

  void run(std::size_t first, std::size_t step);
  bool read(std::size_t i);
  static void check(Stream& stream);

  const std::vector<load::Descriptor>& clients_;
  std::vector<Stream> streams_;
  std::atomic<std::uint64_t> left_;
  std::vector<std::thread> threads_;
};

}  // namespace notes
