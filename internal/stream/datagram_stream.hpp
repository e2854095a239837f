#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <system_error>

#include "internal/stream/stream.hpp"

namespace evio::internal {

/// A connection whose socket is a datagram socket that was dialed: each datagram that comes is a call of `data`, and
/// each send, and what a callback returns, is a datagram of its own. All else is as of a stream, whose states and
/// requests it has; only where those read and write they call what is here.
/// Thread-safety: as of Stream; what is not said there its loop's thread.
class DatagramStream final : public Stream {
 public:
  /// Throws std::bad_alloc. Any thread.
  DatagramStream(std::uint64_t id, StreamHost& host, RefPtr<NoteQueue> queue);

  bool send(Bytes bytes) override;
  bool send_copy(std::string_view bytes) override;

 private:
  friend class Stream;

  static DatagramStream& of(Stream& stream) noexcept { return static_cast<DatagramStream&>(stream); }

  Step read();
  Step no_datagram(int err);
  Step salvage();
  /// What was sent, each as one.
  void send_requested(int most);
  /// What the callback has returned, as one.
  Step write_output();
  Step write_waiting(bool& progressed);
  /// After what was sent: tells what was lost, and closes where an error came.
  Step after_sending();

  bool add(Request* request, std::size_t size) noexcept;
  bool refuse_too_long() noexcept;
  bool hand_over(std::span<iovec> parts, std::size_t size);
  void send_one(const Request& request);
  void keep(const Request& request);
  void lose(int err) noexcept;
  bool may_read_on() const noexcept;
  static void ignore_flow(Options& options) noexcept;
};

}  // namespace evio::internal
