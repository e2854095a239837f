#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "evio/events.hpp"

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
  /// Tells Events::notice of something, unless it was told of the like a moment ago. A loop's thread.
  virtual void notice(int loop, Notice what, std::error_code code, std::string_view message) noexcept = 0;
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

/// Measures a call, and tells of it if it takes longer than it may. Thread-safety: the thread of the loop.
template <class Words>
class CallTimer {
 public:
  CallTimer(ServerControl& server, int loop, std::string_view name, std::chrono::nanoseconds most, Words words)
      : server_(server), loop_(loop), name_(name), most_(most), words_(std::move(words)) {}
  CallTimer(const CallTimer&) = delete;
  CallTimer& operator=(const CallTimer&) = delete;
  ~CallTimer() {
    const auto took = std::chrono::steady_clock::now() - begin_;
    if (took > most_) tell(took);
  }

 private:
  [[gnu::noinline]] void tell(std::chrono::nanoseconds took) noexcept try {
    const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
    server_.notice(loop_, Notice::SlowCallback, std::make_error_code(std::errc::timed_out),
                   std::string(name_) + ' ' + words_() + ": took " + std::to_string(micros) + " us");
  } catch (...) {  // no memory for the words
  }

  ServerControl& server_;
  int loop_;
  std::string_view name_;
  std::chrono::nanoseconds most_;
  Words words_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace evio::internal
