#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "bench/load/sockets.hpp"

namespace notes {

/// Reads numbers of eight bytes from all the clients until all of them have come, and checks their order.
/// Thread-safety: one thread makes it and waits.
class Reader {
 public:
  Reader(const std::vector<load::Descriptor>& clients, std::uint64_t count)
      : clients_(clients), streams_(clients.size()), left_(count * sizeof(std::uint64_t)), thread_([this] { run(); }) {}

  void wait() { thread_.join(); }

 private:
  struct Stream {
    std::vector<char> unread;
    std::uint64_t last = 0;
    bool begun = false;
  };

  void run();
  bool read(std::size_t i);
  static void check(Stream& stream);

  const std::vector<load::Descriptor>& clients_;
  std::vector<Stream> streams_;
  std::uint64_t left_;
  std::thread thread_;
};

}  // namespace notes
