#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "bench/load/sockets.hpp"

namespace notes {

/// Counts the callbacks that wakes of one connection led to, on a cache line of its own.
/// Thread-safety: the loop adds, one producer waits.
class alignas(64) Woken {
 public:
  std::uint64_t count() const { return count_.load(std::memory_order_acquire); }
  void add() {
    count_.fetch_add(1, std::memory_order_release);
    count_.notify_one();  // a system call only when the producer waits
  }
  void wait_beyond(std::uint64_t seen) const { count_.wait(seen, std::memory_order_acquire); }

 private:
  std::atomic<std::uint64_t> count_{0};
};

/// Loops on threads of their own, and connections that other threads speak to: number i belongs to loop i mod loops.
/// Thread-safety: wake() and send() any thread.
class Target {
 public:
  Target() = default;
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;
  virtual ~Target() = default;

  /// Has woken[conn].add() called on the connection's loop, at least once from now on.
  virtual void wake(std::size_t conn) = 0;
  /// Sends bytes to the connection's peer, in the order one thread asks for it.
  virtual void send(std::size_t conn, std::string_view bytes) = 0;

  /// The peers' ends of the connections, which block.
  std::vector<load::Descriptor> clients;
  std::vector<Woken> woken;
};

using MakeTarget = std::function<std::unique_ptr<Target>(int loops, std::size_t connections)>;

/// The program: measures the target as the command line says and prints one line. Ends the process: loops run for ever.
int run(int argc, char** argv, const MakeTarget& make);

/// A TCP connection to oneself over the loopback, for libraries that take sockets: the server's end does not block.
struct Pair {
  load::Descriptor client;
  int server = -1;
};
Pair connect_pair();

/// How many system calls woke a loop so far; see count_calls.cpp.
std::uint64_t wake_up_calls();

}  // namespace notes
