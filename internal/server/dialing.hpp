#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "evio/dial.hpp"
#include "evio/error.hpp"
#include "internal/base/file_descriptor.hpp"
#include "internal/base/intrusive_list.hpp"
#include "internal/base/recycled.hpp"
#include "internal/loop/loop.hpp"
#include "internal/loop/timer_wheel.hpp"
#include "internal/net/address_spec.hpp"
#include "internal/net/socket_address.hpp"
#include "internal/poll/pollable.hpp"
#include "internal/server/name_lookups.hpp"
#include "internal/stream/stream.hpp"

namespace evio::internal {

class Dialer;

/// One connection that is being dialed, until it is connected or has failed: its name is looked up, then its addresses
/// are tried, as RFC 8305 says: the next one when one has failed, or has not answered for 250 ms; the earlier ones go
/// on. The first that answers is the connection.
/// Thread-safety: made by the thread that dials; then its loop's.
class Dialing final : public NameAsker, public Recycled<Dialing>, private Opening, private EndsWithTurn {
 public:
  using TimePoint = Timer::TimePoint;

  /// `problem`: why it cannot even be tried, if it cannot.
  Dialing(Dialer& dialer, RefPtr<Stream> stream, RefPtr<NoteQueue> queue, AddressSpec&& spec, Dial&& how,
          Error problem);
  ~Dialing() override;

  /// Ends the dial: somebody has closed the connection, or the server shuts down.
  void cancel(TimePoint now = {}) noexcept;
  void sweep() noexcept;
  /// Its connection is about to be opened: the dial is no longer needed.
  void on_handshake_done() noexcept;
  void on_handshake_failed(const Error& err) noexcept;

 private:
  template <class T, class N>
  friend class IntrusiveList;
  struct Attempt;

  // Notes: it begins, and its name was looked up.
  void on_adopt(RefPtr<NoteTarget> self) noexcept override;
  void on_continue() noexcept override;
  void on_request() noexcept override { EVIO_ASSERT(false); }
  void on_flush() noexcept override { EVIO_ASSERT(false); }
  void on_discard() noexcept override;
  void on_cancel() noexcept override { cancel(); }
  void on_turn_end() noexcept override { release(); }

  void begin();
  void look_up();
  void take_addresses(std::vector<SocketAddress> addresses);
  void try_next(TimePoint now) noexcept;
  bool try_address(const SocketAddress& to);
  FileDescriptor make_socket(const SocketAddress& to);
  void on_attempt(Attempt& attempt) noexcept;
  void give_up_attempt(Attempt& attempt, std::error_code code, std::string_view call);
  void connected(FileDescriptor fd, const SocketAddress& to, bool registered) noexcept;
  void shake_hands() noexcept;
  void time_out(TimePoint now) noexcept;
  void end_soon() noexcept;
  void fail(Error err) noexcept;
  void fail_without_memory() noexcept;
  void close_attempts() noexcept;
  Error canceled() const noexcept;
  Error error(std::error_code code, std::string_view call) const;
  bool has_ended() const noexcept { return !stream_; }

  Dialer& dialer_;
  RefPtr<Stream> stream_;  // null once the dial has ended
  const AddressSpec spec_;
  const Dial how_;
  const TimePoint deadline_;
  Error failure_;  // the last one
  std::vector<SocketAddress> addresses_;
  std::size_t next_ = 0;  // of them
  std::vector<std::unique_ptr<Attempt>> attempts_;
  SocketAddress local_;                 // to connect from, if how_ names one
  bool shakes_hands_ = false;           // it is connected
  std::chrono::milliseconds pause_{0};  // before a full backlog is tried again
  ListHook<Dialing> hook_;
  MemberTimer<&Dialing::time_out> timeout_timer_{*this};
  MemberTimer<&Dialing::try_next> next_timer_{*this};
  MemberTimer<&Dialing::cancel> cancel_timer_{*this};
};

}  // namespace evio::internal
