#pragma once

#include <chrono>
#include <cstdint>

#include "evio/events.hpp"
#include "internal/datagram/datagram_socket.hpp"
#include "internal/loop/loop.hpp"
#include "internal/loop/server_control.hpp"

namespace evio::internal {

/// Serves one datagram socket: calls `data` for each datagram and sends what that returns. Thread-safety: its loop's
/// thread.
class DatagramReceiver final : public Pollable {
 public:
  DatagramReceiver(FileDescriptor fd, int addr_index, const Addr& addr, Loop& loop, const Events& events,
                   ServerControl& server);
  ~DatagramReceiver();
  DatagramReceiver(const DatagramReceiver&) = delete;
  DatagramReceiver& operator=(const DatagramReceiver&) = delete;

  /// Watches the socket.
  std::error_code start();
  void on_ready() noexcept override;

  /// Stops receiving, and closes the socket as soon as it has taken all answers that wait.
  void stop() noexcept;
  /// True while answers wait.
  bool is_answering() const noexcept { return socket_.blocked(); }

 private:
  // How long it pauses when the system has run out of memory.
  static constexpr std::chrono::milliseconds kPause{100};

  void receive_batch();
  void deliver(std::size_t i) noexcept;
  void flush_replies();
  void tell_of_failure() noexcept;
  Interest wanted_interest() const noexcept;
  void update_interest() noexcept;
  void pause() noexcept;
  void resume(Timer::TimePoint now) noexcept;
  void unwatch() noexcept;
  void close() noexcept;

  DatagramSocket socket_;
  Loop& loop_;
  const Events& events_;
  ServerControl& server_;
  Interest interest_ = Interest::kNone;
  bool stopping_ = false;
  std::uint64_t told_ = 0;  // of so many failures
  MemberTimer<&DatagramReceiver::resume> resume_timer_{*this};
};

}  // namespace evio::internal
