#pragma once

#include <atomic>
#include <cstdint>

namespace evio::internal {

class Endpoint;

/// Whether a server shuts down. Its loops look at it for every connection that is ready: it is written once, so its
/// cache line stays with every reader. Thread-safety: any thread, and signal handlers.
class StopFlag {
 public:
  // release, acquire: a loop that sees the flag sees what was done before, above all what was sent.
  void set() noexcept { flag_.store(true, std::memory_order_release); }
  bool is_set() const noexcept { return flag_.load(std::memory_order_acquire); }

 private:
  std::atomic<bool> flag_{false};
};

/// What connections and datagram sockets ask of the server they belong to. Thread-safety: any thread.
class ServerControl {
 public:
  /// Shuts the server down: a callback has returned Action::Shutdown.
  virtual void shut_down() noexcept = 0;
  /// In a catch clause: serve() will rethrow the exception, if it is the first, and the server shuts down.
  virtual void fail() noexcept = 0;
  /// `closed` or `detached` has returned for this connection, or it has ended without a word: it counts no more. On its
  /// loop's thread, once.
  virtual void on_closed(const Endpoint& connection) noexcept = 0;

  /// The first of `count` new numbers for connections. relaxed: only that they differ counts.
  std::uint64_t next_ids(std::uint64_t count) noexcept { return next_id_.fetch_add(count, std::memory_order_relaxed); }

 protected:
  ~ServerControl() = default;

 private:
  std::atomic<std::uint64_t> next_id_{1};
};

}  // namespace evio::internal
