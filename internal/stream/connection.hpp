#pragma once

#include <bit>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include "evio/error.hpp"
#include "evio/events.hpp"
#include "internal/base/file_descriptor.hpp"
#include "internal/buffer/output_queue.hpp"
#include "internal/loop/endpoint.hpp"
#include "internal/poll/pollable.hpp"
#include "internal/poll/poller.hpp"
#include "internal/stream/requests.hpp"

namespace evio::internal {

/// One stream socket: its state, its pending output, its context and the action it waits to take.
///
/// Made by the loop that accepts, used by the loop it is handed to. That loop holds it by self(), handles hold it
/// longer. Thread-safety: wake(), send() and close() any thread; the rest its loop's thread.
class Connection final : public Endpoint, public Source {
 public:
  enum class Stage : std::uint8_t { kAccepted, kOpen, kLingering, kGone };
  using Clock = std::chrono::steady_clock;

  Connection(FileDescriptor fd, std::uint64_t id, RefPtr<NoteQueue> queue, int addr_index, Addr local, Addr remote)
      : Endpoint(id, std::move(queue), addr_index, std::move(local), std::move(remote)),
        Source(Kind::kConnection),
        fd_(std::move(fd)) {}

  // Any thread.
  bool wake() override;
  bool send(Bytes bytes) override;
  bool send_text(std::string_view text) override;
  bool close() override;

  // What other threads asked for.
  /// True once no more data may be called and no send is taken: close() was called, or an action was asked for.
  bool closing() const noexcept { return requests_.closed(); }
  /// True while some of what other threads' send() took is not in the output yet.
  bool has_requested_output() const noexcept { return has_taken_requests() || requests_.has_output(); }
  bool has_taken_requests() const noexcept { return !requested_.empty(); }
  /// Puts it into the output, up to the wake that waits: what the next callback returns leaves behind it.
  void put_requested_output_first() noexcept;
  /// Takes them in, unless some taken before are left: a note brought the loop here.
  void take_requests() noexcept;
  /// Takes in what there is to send: nothing is taken any more, so no place beside a wake has to be kept.
  void take_last_requests() noexcept;
  /// Moves what other threads sent, and was taken in, to the end of `out`: up to the wake that is due, if there is one,
  /// and not too much at once. True when all is moved. Throws std::bad_alloc.
  bool move_requested_output(Output& out);
  /// True, once, when data is to be called now because of a wake that was taken in. Never while closing: see
  /// take_last_wake().
  bool take_due_wake() noexcept;
  /// Has the loop look at the requests again on its next turn. False when there is no memory for the note.
  bool continue_next_turn() noexcept;
  bool continues_next_turn() const noexcept { return continues_; }
  /// Forgets what other threads sent: the connection has failed.
  void drop_requests() noexcept;

  // The socket.
  int fd() const noexcept { return fd_.get(); }
  FileDescriptor& descriptor() noexcept { return fd_; }
  Stage stage() const noexcept { return state_.stage; }
  void enter(Stage stage) noexcept { state_.stage = stage; }
  Interest interest() const noexcept { return state_.interest; }
  void set_interest(Interest interest) noexcept { state_.interest = interest; }
  bool reuses_input() const noexcept { return reuses_input_; }
  void apply(const Options& options) noexcept;

  /// True for an open connection that is watched for input and has no action to take.
  bool only_reads() const noexcept {
    constexpr State kReading{Stage::kOpen, Interest::kRead, 0};
    return std::bit_cast<std::uint32_t>(state_) == std::bit_cast<std::uint32_t>(kReading);
  }
  /// True when nobody has called close(), and there is no output, asked for or pending, that comes first. One
  /// comparison, for it stands in the way of every message.
  bool may_read() const noexcept { return requests_.open_and_nothing(requested_, pending_.get()); }

  // The output.
  /// True while there is output that the socket has not taken.
  bool blocked() const noexcept { return pending_ != nullptr; }
  /// True when some of that was added by send() in a callback of this loop: no one has tried to write it yet.
  bool unsent() const noexcept { return unsent_; }
  /// Sends `out` behind what is pending, or keeps what the socket does not take. kFailed leaves errno.
  Sent transmit(const Output& out);
  /// The second half of transmit(): write(2) said `written`.
  Sent keep_rest(const Output& out, ssize_t written);
  /// Goes on with what is pending.
  Sent flush();
  void drop_pending() noexcept {
    pending_.reset();
    unsent_ = false;
  }

  // The end.
  Action action() const noexcept { return static_cast<Action>(state_.action); }
  /// Asks for Close or Detach; the first one stays.
  void request(Action action) noexcept;
  /// Asks for Close because the peer, or the server, has come to its end.
  void request_end() noexcept;
  /// True, once, when a wake was asked for before request_end(), and nothing had closed the connection before that:
  /// then it still has its data call.
  bool take_last_wake() noexcept {
    return std::exchange(heeds_wake_, false) && (std::exchange(wake_due_, false) || requests_.take_wake());
  }
  /// The connection is over because of this; the first one stays.
  void fail(Error err) noexcept;
  /// Says that the peer's end of the stream, or an error, was read or met: there is no one left to linger for.
  void cut_off() noexcept { cut_off_ = true; }
  bool is_cut_off() const noexcept { return cut_off_; }
  bool has_failed() const noexcept { return failure_ != nullptr; }
  Error take_failure() noexcept;
  void drop_context() noexcept { context().reset(); }
  Clock::time_point linger_until() const noexcept { return linger_until_; }
  void linger_until(Clock::time_point end) noexcept { linger_until_ = end; }
  /// Called about once a second while lingering, with how much the peer has not acknowledged yet: true when that has
  /// stayed the same for a minute. The peer is gone then, or does not read.
  bool makes_no_progress(int unacknowledged) noexcept;

  /// The handle that callbacks get. They may assign to it or move it away: it is mended here, and the loop has a hold
  /// of its own besides.
  Conn& self() noexcept {
    if (EndpointAccess::peer(self_) != this) [[unlikely]]
      self_ = EndpointAccess::handle(this);
    return self_;
  }
  /// Takes the loop's hold.
  void adopt_self() noexcept { retain(); }
  /// Lets go of it; may destroy the connection.
  void drop_self() noexcept {
    self_ = Conn();
    release();
  }

 private:
  friend class ConnectionList;

  // One comparison tells that the connection reads and does nothing else.
  struct State {
    Stage stage = Stage::kAccepted;
    Interest interest = Interest::kUnregistered;
    std::uint16_t action = 0;  // an Action
  };

  void keep(std::unique_ptr<Context> context) override;
  bool send_here(const Bytes* bytes, std::string_view text) noexcept;
  bool fetch_requested_output() noexcept;
  void queue_request(BlockPool::Returned& returned) noexcept;
  bool may_move_request() const noexcept;
  bool add_request(Request* request) noexcept;
  bool notify_loop(Requests::Added added) noexcept;

  // Small ones first: they lie in what Source leaves free.
  State state_;
  bool reuses_input_ = false;
  bool cut_off_ = false;
  bool unsent_ = false;
  bool heeds_wake_ = false;
  bool wake_due_ = false;   // taken from requests_, and data not called yet
  bool continues_ = false;  // a note of the loop's own, about requested_, is under way
  bool broken_ = false;     // some of its output is lost
  std::uint8_t looks_in_vain_ = 0;
  Requests requests_;
  RequestList requested_;  // taken from there, and not in the output yet
  FileDescriptor fd_;
  int unacknowledged_ = 0;
  std::unique_ptr<OutputQueue> pending_;
  Conn self_;
  std::unique_ptr<Error> failure_;
  Clock::time_point linger_until_{};
  Connection* previous_ = nullptr;
  Connection* next_ = nullptr;
};

/// Connections in the order they were added; each is in one list at most. Owns nothing, allocates nothing.
/// Thread-safety: one thread.
class ConnectionList {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  Connection* first() const noexcept { return first_; }
  static Connection* next(const Connection& c) noexcept { return c.next_; }
  void add(Connection& c) noexcept;
  void remove(Connection& c) noexcept;

 private:
  Connection* first_ = nullptr;
  Connection* last_ = nullptr;
};

}  // namespace evio::internal
