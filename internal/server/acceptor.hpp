#pragma once

#include <chrono>
#include <memory>
#include <random>
#include <vector>

#include "evio/addr.hpp"
#include "internal/loop/timer_wheel.hpp"
#include "internal/net/listener.hpp"
#include "internal/poll/poller.hpp"
#include "internal/server/server_state.hpp"

namespace evio::internal {

class Worker;
using Workers = std::vector<std::unique_ptr<Worker>>;

/// Accepts connections at one listening socket, on one loop, and gives each to the loop that the balancer chooses. The
/// socket is the listener's. Thread-safety: its loop's thread.
class Acceptor final : public Pollable {
 public:
  Acceptor(const Listener& listener, const Listener::Socket& socket, int addr_index, Worker& home,
           const Workers& workers, ServerState& server);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  /// Watches the socket.
  std::error_code start();
  void on_ready() noexcept override;
  /// Stops watching it.
  void stop() noexcept;

 private:
  // How long it pauses when the system has run out of descriptors or memory.
  static constexpr std::chrono::milliseconds kPause{100};

  bool accept_one();
  void place(FileDescriptor fd, const SocketAddress& peer);
  void hand_over(FileDescriptor fd, const Addr& local, const SocketAddress& peer);
  void pause() noexcept;
  void resume(Timer::TimePoint now) noexcept;

  const int fd_;
  const int addr_index_;
  const Addr bound_;
  const Network network_;
  const bool is_wildcard_;      // a connection's own address differs from bound_
  const bool kernel_balanced_;  // by reuseport: the kernel has chosen the loop
  Worker& home_;
  const Workers& workers_;
  ServerState& server_;
  std::minstd_rand random_;
  MemberTimer<&Acceptor::resume> resume_timer_{*this};
};

}  // namespace evio::internal
