#pragma once

#include <chrono>
#include <memory>
#include <string_view>
#include <vector>

#include "evio/addr.hpp"
#include "evio/events.hpp"
#include "internal/loop/timer_wheel.hpp"
#include "internal/net/listener.hpp"
#include "internal/poll/poller.hpp"
#include "internal/server/connection_limit.hpp"
#include "internal/server/handshake.hpp"
#include "internal/server/server_state.hpp"

namespace evio::internal {

class Worker;
using Workers = std::vector<std::unique_ptr<Worker>>;

/// Accepts connections at one listening socket, on one loop, and gives each to the loop that the balancer chooses. The
/// socket is the listener's. While the server has as many connections as it may, the acceptor rests: its loop does not
/// watch the socket, and other threads accept for it. Thread-safety: its loop's thread, but accept_waiting() and
/// call_loop(), and what they call.
class Acceptor final : public Pollable, private ConnectionLimit::Waiter {
 public:
  Acceptor(const Listener& listener, const Listener::Socket& socket, int addr_index, Worker& home,
           const Workers& workers, ServerState& server, const Events& events);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  /// Watches the socket.
  std::error_code start();
  void on_ready() noexcept override;
  /// The limit of connections may have an order for it.
  void on_order() noexcept;
  /// Stops watching it.
  void stop() noexcept;

 private:
  // How long it pauses when the system has run out of descriptors or memory.
  static constexpr std::chrono::milliseconds kPause{100};

  Accepted accept_waiting() noexcept override;
  void call_loop() noexcept override { queue_.post(Signal::kListen); }

  // Any loop's thread, as many at once.
  Accepted accept_one() noexcept;
  Accepted place(FileDescriptor fd, const SocketAddress& peer);
  bool admit(FileDescriptor& fd, const Addr& remote);
  void reject(FileDescriptor fd, const Addr& remote, std::string_view why) noexcept;
  void tell_of_failure(int err) noexcept;
  Accepted hand_over(FileDescriptor fd, const Addr& local, const Addr& remote);
  RefPtr<NoteTarget> make_stream(FileDescriptor fd, Worker& worker, const Addr& local, const Addr& remote);
  void withdraw(int loop, const Addr& remote) noexcept;

  bool is_shared() const noexcept;
  void pass_wake_up_on() const noexcept;
  void rest() noexcept;
  void pause() noexcept;
  void resume(Timer::TimePoint now) noexcept;

  const int fd_;
  const int addr_index_;
  const Addr bound_;
  const Network network_;
  const bool is_wildcard_;      // a connection's own address differs from bound_
  const bool kernel_balanced_;  // by reuseport: the kernel has chosen the loop
  const bool given_;
  const HandshakeRules handshake_;
  const bool screens_;  // some connections are refused
  Worker& home_;
  NoteQueue& queue_;  // of its loop
  const Workers& workers_;
  ServerState& server_;
  ConnectionLimit* const limit_;  // nullptr: there is none
  const Events& events_;
  bool resting_ = false;
  MemberTimer<&Acceptor::resume> resume_timer_{*this};
};

}  // namespace evio::internal
