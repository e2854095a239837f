#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "evio/events.hpp"
#include "internal/buffer/output_access.hpp"
#include "internal/buffer/read_buffer.hpp"
#include "internal/loop/loop.hpp"
#include "internal/loop/server_control.hpp"
#include "internal/stream/stream.hpp"

namespace evio::internal {

/// The streams of one loop, and what they share: the buffers they read and write with, and the server's callbacks.
/// Thread-safety: its loop's thread.
class StreamHost {
 public:
  using TimePoint = Timer::TimePoint;

  StreamHost(Loop& loop, const Events& events, ServerControl& server);
  ~StreamHost();
  StreamHost(const StreamHost&) = delete;
  StreamHost& operator=(const StreamHost&) = delete;

  const RefPtr<NoteQueue>& queue() const noexcept { return loop_.queue(); }
  /// True when there are no connections, open or lingering.
  bool empty() const noexcept { return open_.empty() && lingering_.empty(); }

  /// Nothing more is read, and connections close once their output is handed to the kernel: until `drain_until`.
  void begin_shutdown(TimePoint drain_until);
  /// Closes what is left as it is.
  void end() noexcept;
  /// A note was lost: looks at every connection.
  void sweep();

  bool announces() const noexcept { return static_cast<bool>(events_.pre_write); }
  /// Calls pre_write, if there is one. False when it threw: then the bytes must not leave.
  bool call_pre_write() noexcept;

 private:
  friend class DatagramStream;
  friend class Stream;

  // After Close the peer may still be sending: closing at once would answer with a reset, which can destroy what it has
  // not read yet. So its input is discarded for this long, or until it ends, if sooner (RFC 1122, 4.2.2.13).
  static constexpr std::chrono::seconds kLinger{1};
  // The kernel does not report that a peer has acknowledged everything: a loop that shuts down looks this often.
  static constexpr std::chrono::milliseconds kLook{10};
  // So many of them are looked at in a turn, which may have much to discard.
  static constexpr int kExpireAtOnce = 64;

  // There always is a `data`: see Engine. This spares std::function's check for being empty.
  Action call_data(Conn& conn, const Bytes& in) {
    if (!events_.data) __builtin_unreachable();
    return events_.data(conn, in, out_);
  }
  // A function that was posted, under the name of the call that did. It is measured where slow_callback asks for it.
  Action call_task(ConnTask& task, Conn& conn, std::string_view name) {
    if (events_.slow_callback.count() <= 0) [[likely]]
      return task.run(conn, out_);
    return call_measured(task, conn, name);
  }
  [[gnu::noinline]] Action call_measured(ConnTask& task, Conn& conn, std::string_view name);
  template <class Callback>
  void call_guarded(Callback callback) noexcept;
  /// Not inlined: the path of every message would keep the output's address for it.
  [[gnu::noinline, gnu::cold]] void shrink_output() noexcept { OutputAccess::shrink(out_); }
  bool watches_flow() const noexcept { return events_.congested || events_.drained; }
  void add_lingering(Stream& stream) noexcept;
  /// Returns false if flushing has made callbacks send more: the caller must call it again, in another turn.
  bool flush_outbox() noexcept;
  void on_linger_timer(TimePoint now) noexcept;
  void close_acknowledged(TimePoint now) noexcept;

  // What every message needs comes first.
  const Events& events_;
  Output out_;                       // what the callback under way adds to; empty when it starts
  const Stream* current_ = nullptr;  // whose callback that is
  ReadBuffer input_;
  Loop& loop_;
  Figures& figures_;
  ServerControl& server_;
  Outbox outbox_;
  Output sent_;  // what leaves before it; empty outside put_sent_first()
  StreamList open_;
  // A peer that has acknowledged nothing at so many looks, one an interval, is reset: after Events::close_timeout.
  std::chrono::nanoseconds linger_interval_ = kLinger;
  std::uint32_t linger_looks_ = 0;   // 0: it is waited for
  std::uint32_t discard_looks_ = 1;  // one that has acknowledged everything has these: a second
  StreamList lingering_;             // by the time until which they do
  TimePoint drain_until_ = Timer::kNever;
  MemberTimer<&StreamHost::on_linger_timer> linger_timer_{*this};
  MemberTimer<&StreamHost::close_acknowledged> look_timer_{*this};
  std::array<char, 16 * 1024> discarded_;  // where input goes that nobody reads
};

// Something moves in this turn.
inline void Stream::note_progress() noexcept {
  if (timeouts_ != nullptr) timeouts_->progress = host_.loop_.turn_time();
}

// Calls a user's function as `data` is called.
template <class Callback>
Stream::Step Stream::call(Callback callback) {
  EVIO_ASSERT(host_.out_.empty());
  host_.current_ = this;
  Action action = Action::None;
  try {
    action = callback();
  } catch (...) {
    return callback_threw();
  }
  if (timeouts_ != nullptr && !has_pending() && (has_sent() || !host_.out_.empty())) output_progressed();
  return finish_callback(host_, action);
}

// Only Shutdown has an effect; an exception shuts the server down too.
template <class Callback>
void StreamHost::call_guarded(Callback callback) noexcept {
  try {
    if (callback() == Action::Shutdown) server_.shut_down();
  } catch (...) {
    server_.fail();
  }
}

}  // namespace evio::internal
