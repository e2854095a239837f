#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string_view>
#include <utility>

#include "evio/error.hpp"
#include "evio/events.hpp"
#include "internal/base/recycled.hpp"
#include "internal/loop/endpoint.hpp"
#include "internal/loop/timer_wheel.hpp"
#include "internal/poll/poller.hpp"
#include "internal/stream/outbox.hpp"
#include "internal/stream/pending_bytes.hpp"
#include "internal/stream/requests.hpp"
#include "internal/stream/stream_extras.hpp"
#include "internal/stream/stream_state.hpp"
#include "internal/stream/stream_timeouts.hpp"
#include "internal/stream/transport.hpp"

namespace evio::internal {

class StreamHost;

/// One stream connection: its states, its input and output, and what other threads ask of it.
///
/// What it does next is a step of run(): each is short, does one thing, and names the one that follows at
/// once, or kWait. Created by the loop that accepts it; from on_adopt() on it belongs to its own loop, which has one
/// reference to it until it is closed.
/// Thread-safety: what the first group of functions says any thread; the rest its loop's thread.
class Stream : public Pollable,
               public Endpoint,
               public Recycled<Stream>,
               protected StreamWords {  // in this order: on_ready() needs no adjustment
 public:
  using TimePoint = Timer::TimePoint;

  /// Of a socket that was accepted.
  Stream(FileDescriptor fd, std::uint64_t id, StreamHost& host, int addr_index, const Addr& local, const Addr& remote);
  /// Without a socket as yet: it is dialed, or adopted. What is asked of it waits until it is opened. The host is not
  /// touched, as its loop may have ended. Throws std::bad_alloc. Any thread.
  Stream(std::uint64_t id, StreamHost& host, RefPtr<NoteQueue> queue, bool dialed);
  ~Stream() override;

  // Any thread, but native_handle() and tls() only its callbacks: stream_requests.cpp, stream_functions.cpp.
  bool wake() override;
  bool send(Bytes bytes) override;
  bool send_copy(std::string_view bytes) override;
  bool close() override;
  bool abort() override;
  bool pause() override;
  bool resume() override;
  bool close_write() override;
  bool post(std::unique_ptr<ConnTask> task) override;
  RefPtr<TimedTask> post_after(std::chrono::nanoseconds delay, TimedPtr<ConnTask> task) override;
  bool expires_after(std::chrono::nanoseconds delay) override;
  std::size_t pending_bytes() const override;
  int native_handle() const override;
  const TlsInfo* tls() const override;
  Addr local() const override { return address(local_); }
  Addr remote() const override { return address(remote_); }
  bool dialed() const noexcept override { return dialed_; }

  // Its loop: what has happened. stream_requests.cpp, stream_io.cpp.
  void on_request() noexcept final;
  void on_continue() noexcept override;
  void on_flush() noexcept override;
  void on_adopt(RefPtr<NoteTarget> self) noexcept override;
  void on_ready() noexcept override;
  void on_abort() noexcept override;
  void on_timeout(TimePoint now) noexcept;

  /// Before it is posted to its loop, any thread.
  void set_context(std::unique_ptr<Context> context) override;

  // Who opens it, before that, and once: stream_opening.cpp.
  /// Tells of it when it is closed or aborted before it is opened. False if it was already.
  bool set_opening(Opening& opening) noexcept;
  /// Before it is posted to its loop: it is not to be opened before that says so. Throws std::bad_alloc.
  void open_later(OpeningPtr opening, bool is_unix);
  /// Where it is being connected to.
  void set_addresses(const Addr& local, const Addr& remote) noexcept;
  /// Its socket. Where a poller calls another pollable for that, this takes it over when it first watches it.
  void set_socket(FileDescriptor fd, bool registered) noexcept;
  /// It has its socket; what was read from it belongs to that session, if there is one.
  void open(std::unique_ptr<TlsSession> tls = nullptr) noexcept;
  /// The same of a socket that was adopted; while the server shuts down that ends without a word.
  void open_adopted(FileDescriptor fd) noexcept;
  /// For what its socket is to be watched. Throws std::bad_alloc.
  std::error_code watch(Interest interest);
  int fd() const noexcept { return transport_.fd(); }
  /// It was accepted, and is not to be opened. What the peer is told, it has been told, unless it is reset.
  void end_handshake(bool reset) noexcept;
  /// It is not to be opened.
  void end_unopened(const Error& err) noexcept;

  // Its host, when the server shuts down or a note was lost.
  /// Nothing more is read, and further sends are refused.
  void end_of_input() noexcept;
  /// After that: closes the connection, once its output is handed to the kernel.
  void finish() noexcept;
  /// Closes the connection as it is.
  void abandon() noexcept;
  void sweep() noexcept;

  // Its host, while it lingers: closed, but its socket still discards what arrives.
  TimePoint linger_until() const noexcept { return linger_until_; }
  /// Its deadline has passed. Returns true if it has closed the socket; otherwise it lingers until `next`.
  bool linger_expired(TimePoint next) noexcept;
  bool is_acknowledged() const noexcept { return unacknowledged() == 0; }
  void end_linger() noexcept;

 private:
  // stream.cpp: the states
  void run(Step step) noexcept {
    if (step != Step::kWait) run_steps(step);
  }
  [[gnu::noinline]] void run_steps(Step step) noexcept;
  Step run_one(Step step);
  Step receive();
  Step tell(Step step);
  Step opened();
  Step write();
  Step write_pending(bool& progressed);
  Step action();
  Step salvage();
  ssize_t read_left(std::span<char> room, std::size_t left) noexcept;
  Step close_now();
  Step detach();
  Step reset();
  Step linger();
  template <class Callback>
  Step call(Callback callback);

  // stream_io.cpp: the path of every message
  Step read(StreamHost& host);
  Step deliver(StreamHost& host, const Bytes& in);
  Step finish_callback(StreamHost& host, Action action);
  Step transmit(StreamHost& host);
  /// What the connection does next, or waits for.
  Step next_step() {
    if (state_.only_reads()) [[likely]]
      return Step::kWait;
    return state_.only_reads_timed() ? Step::kWait : next_step_slow();
  }

  // stream_slow.cpp: where it leaves that path
  Step ready();
  bool is_put_off() noexcept;
  void moved(std::size_t bytes) noexcept {
    if (bytes >= kMuch) moved_much(0);
  }
  [[gnu::noinline]] ssize_t moved_much(ssize_t n) noexcept;
  Step first_step() noexcept;
  Step hung_up();
  Step take_end_of_input();
  Step discard_behind_close();
  void drop_output() noexcept;
  Step read_nothing(ssize_t n);
  Step transmit_slow();
  Step transmit_timed();
  void wrote_sent(std::size_t bytes) noexcept;
  Step transmit_sent();
  Step transmit_request();
  [[gnu::noinline]] Step keep_sent_remainder(ssize_t written);
  [[gnu::noinline]] Step transmit_all();
  Step transmit_counted();
  Step finish_counted();
  Step write_output();
  Step keep_output(ssize_t written);
  Step keep_remainder(ssize_t written);
  void keep_pending(std::size_t from);
  Step next_step_slow();
  Interest wanted_interest() const noexcept;
  Step update_interest();
  Step write_failed(int err);
  Step callback_threw();
  Step out_of_memory() noexcept;

  // stream_flow.cpp: how much waits, and who may go on
  Step flow_step();
  Step try_to_write();
  Step congested();
  Step drained();
  Step ended();
  void end_output() noexcept;
  void end_output_now() noexcept;
  bool may_read() const noexcept { return !input_over_ && !requests_.paused(); }

  // stream_timeouts.cpp
  StreamTimeouts& timeouts();
  void apply_timeouts(const Options& options);
  void note_progress() noexcept;
  void output_progressed() noexcept;
  void look_at_acknowledgements(TimePoint now) noexcept;
  void arm_timeouts() noexcept;
  void set_deadline(TimePoint deadline);
  void watch_close();
  std::chrono::nanoseconds close_limit() const noexcept;
  Step time_out(Timeout what);
  void end_by_timeout(Timeout what) noexcept;
  Step time_out_close() noexcept;
  void count_timed_out() noexcept;
  void fail_timed_out(std::string_view which) noexcept;
  bool moved_meanwhile() noexcept;

  // stream_close.cpp: the end
  void record(Action action) noexcept;
  void request_end(Action action) noexcept;
  void fail(Error err) noexcept;
  void set_failure(Error err) noexcept;
  bool has_failed() const noexcept { return extras_ != nullptr && extras_->failure != nullptr; }
  Error take_failure() noexcept;
  void unlink();
  bool end_by_abort() noexcept;
  void begin_linger() noexcept;
  void end_extras() noexcept;
  void end_timeouts() noexcept;
  bool lingers() const noexcept;
  int unacknowledged() const noexcept;
  bool discard_input() noexcept;
  void close_socket() noexcept;
  void unregister() noexcept;
  void release_to_loop() noexcept;

  // stream_tls.cpp
  bool has_unsent() const noexcept;
  bool has_decrypted() const noexcept;
  Step decrypt();
  Error tls_error(std::string_view call, std::error_code code) const;
  ssize_t write_parts(std::span<iovec> parts) noexcept;
  Step flush_tls();
  ssize_t discard_tls() noexcept;
  bool wants_input() const noexcept;
  Step read_for_output();
  bool end_stream() noexcept;
  void refuse_detach() noexcept;

  // stream_functions.cpp
  class Timed;
  bool add_function(Request::What&& what) noexcept;
  void call_timed(Timed& timed) noexcept;

  // stream_opening.cpp
  Addr address(const Addr& address) const {
    // acquire: pairs with open().
    return addresses_known_.load(std::memory_order_acquire) ? address : changing_address(address);
  }
  Addr changing_address(const Addr& address) const;
  bool is_unopened() const noexcept { return state_.stage == Stage::kUnopened; }
  void hold_requests() noexcept;
  void cancel_opening() noexcept;

  // stream_requests.cpp: what other threads ask
  bool add_bytes(Request* request, std::size_t bytes) noexcept;
  bool add_request(Request* request) noexcept;
  bool notify_loop(Requests::Added added) noexcept;
  bool post_note(Note::Kind kind) noexcept;
  bool refuse_send() noexcept;
  bool take_back(std::size_t bytes) noexcept;
  bool send_here(Bytes bytes) noexcept;
  [[gnu::noinline]] bool copy_here(std::string_view bytes) noexcept;
  [[gnu::noinline, gnu::flatten]] bool copy_from_elsewhere(std::string_view bytes) noexcept;
  bool add_to_outbox(std::string_view bytes);
  bool add_own_bytes(Request* request, std::size_t bytes) noexcept;
  bool add_own(Request* request) noexcept;
  void take_others(bool own_callback);
  void flush(Outbox::Chain chain) noexcept;
  bool take_requests() noexcept;
  void send_requested() noexcept;
  void finish_requests() noexcept;
  void serve_requests() noexcept;
  void put_requests_first() noexcept;
  bool may_call_function() const noexcept;
  bool waits_for_wake(const Request& request) const noexcept;
  bool holds_function() noexcept;
  bool may_call_more() noexcept;
  Step function();
  void put_sent_first();
  [[gnu::noinline]] void move_requested_output(Output& out, int most);
  bool may_move_request() const noexcept;
  bool has_requests() const noexcept { return !requested_.empty() || requests_.has_requests(); }
  void append_requests(RequestList list) noexcept;
  void bring_up_requests() noexcept {
    if (extras_ != nullptr) [[unlikely]]
      bring_up_behind();
  }
  void bring_up_behind() noexcept;
  bool take_due_wake() noexcept;
  bool take_last_wake() noexcept;
  void continue_next_turn() noexcept;
  void drop_requests() noexcept;
  friend class StreamHost;
  friend class DatagramStream;

  void apply(const Options& options);
  void enter(Stage stage) noexcept;
  bool is_open() const noexcept { return state_.stage == Stage::kOpen; }
  bool is_unix() const noexcept { return unix_; }
  bool is_closing() const noexcept { return requests_.closed(); }
  bool in_own_callback() const noexcept;
  bool has_pending() const noexcept { return (state_.output & kPending) != 0; }
  bool has_sent() const noexcept { return (state_.output & kSent) != 0; }
  Action requested_action() const noexcept { return static_cast<Action>(state_.action & ~kBulk); }
  StreamExtras& extras();
  bool has_extras() noexcept;
  OutputQueue& pending();
  void drop_pending() noexcept {
    if (has_pending()) free_pending();
  }
  void free_pending() noexcept;
  Conn& handle() noexcept;
  void renew_handle() noexcept;
  bool on_loop() const noexcept { return queue().on_loop_thread(); }

  // So many requests of other threads are moved before other connections get their turn.
  static constexpr int kRequestsAtOnce = 1024;
  static constexpr int kFunctionsAtOnce = 64;      // and so many of their functions are called
  static constexpr std::size_t kMuch = 32 * 1024;  // so many bytes at once keep its loop from others
  static constexpr int kAllRequests = std::numeric_limits<int>::max();

  State state_;
  bool reuses_input_ = false;
  bool final_wake_ = false;       // a wake from before request_end() still has its data call
  bool wake_due_ = false;         // taken from requests_, and data was not called yet
  bool wakes_forgotten_ = false;  // since then: nothing in requested_ waits for that call
  bool continues_ = false;        // the note kContinue is under way
  bool only_bytes_ = false;       // there is no function in requested_
  bool input_over_ = false;       // the peer's end of the stream was read, and nothing is read any more
  // Bits: an idle connection is to take no more than 256 bytes.
  bool read_while_pending_ : 1 = false;
  bool half_open_ : 1 = false;
  bool peer_gone_ : 1 = false;    // its end of the stream, or an error, was read: there is nobody to linger for
  bool output_over_ : 1 = false;  // this side's end was sent
  bool closes_ : 1 = false;       // output is pending behind a close, and close_timeout runs
  bool unix_ : 1 = false;
  bool tls_ : 1 = false;          // it is encrypted: by extras_->tls, until close_notify was sent
  bool reset_ : 1 = false;        // its peer is told that not everything has left
  bool timed_out_ : 1 = false;    // a timeout has closed it
  bool datagrams_ : 1 = false;    // it is a DatagramStream
  bool write_waits_ : 1 = false;  // output is pending or may be unacknowledged, and there is a write_timeout
  std::atomic<Abort> abort_{Abort::kNone};
  std::uint8_t functions_left_ = 0;  // that may be called in functions_turn_
  std::atomic<bool> addresses_known_{true};
  bool dialed_ = false;  // it never changes
  Transport transport_;
  std::uint16_t functions_turn_ = 0;
  std::uint16_t bulk_turn_ = 0;
  int unacknowledged_ = 0;  // at the last look, while it lingers: most have acknowledged everything when it begins
  std::uint32_t looks_without_progress_ = 0;
  Outbox::Chain sent_;  // in the host's outbox
  Requests requests_;
  RequestList requested_;  // taken from there, and not in the output yet
  StreamHost& host_;
  Conn handle_;  // what callbacks get
  PendingBytes pending_bytes_;
  std::unique_ptr<StreamExtras> extras_;
  std::unique_ptr<StreamTimeouts> timeouts_;
  TimePoint linger_until_{};
  Addr local_;  // until addresses_known_, under a lock
  Addr remote_;
};

using StreamList = IntrusiveList<Stream, Endpoint>;

}  // namespace evio::internal
