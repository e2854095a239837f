#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include "evio/error.hpp"
#include "evio/events.hpp"
#include "internal/file_descriptor.hpp"
#include "internal/mailbox.hpp"
#include "internal/peer.hpp"
#include "internal/poller.hpp"
#include "internal/send_queue.hpp"
#include "internal/source.hpp"

namespace evio::internal {

/// One stream socket: its state, its pending output, its context and the action it waits to take.
///
/// Made by the loop that accepts, used by the loop it is handed to. That loop holds it by self(), handles hold it
/// longer. Thread-safety: wake(), send() and close() any thread; the rest its loop's thread.
class Connection final : public Peer, public Source {
 public:
  enum class Stage : std::uint8_t { kAccepted, kOpen, kLingering, kGone };
  using Clock = std::chrono::steady_clock;

  Connection(FileDescriptor fd, std::uint64_t id, Ref<NoteQueue> queue, int addr_index, Addr local, Addr remote)
      : Peer(id, std::move(queue), addr_index, std::move(local), std::move(remote)),
        Source(Kind::kConnection),
        fd_(std::move(fd)) {}

  // Any thread.
  bool wake() override;
  bool send(Bytes bytes) override;
  bool send_text(std::string_view text) override;
  bool close() override;

  // What other threads asked for.
  /// True once no more data may be called and no send is taken: close() was called, or an action was asked for.
  bool closing() const noexcept { return mailbox_.closed(); }
  /// True while some of what send() took is on its way here.
  bool sends_under_way() const noexcept { return mailbox_.has_texts(); }
  Mailbox::Mail take_mail() noexcept { return mailbox_.take(); }

  // The socket.
  int fd() const noexcept { return fd_.get(); }
  FileDescriptor& descriptor() noexcept { return fd_; }
  Stage stage() const noexcept { return stage_; }
  void enter(Stage stage) noexcept { stage_ = stage; }
  Interest interest() const noexcept { return interest_; }
  void set_interest(Interest interest) noexcept { interest_ = interest; }
  bool reuses_input() const noexcept { return reuses_input_; }
  void apply(const Options& options) noexcept;

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
  Action action() const noexcept { return action_; }
  /// Asks for Close or Detach; the first one stays.
  void request(Action action) noexcept;
  /// Asks for Close because the peer, or the server, has come to its end.
  void request_end() noexcept;
  /// True, once, when a wake was asked for before request_end(), and nothing had closed the connection before that:
  /// then it still has its data call.
  bool take_last_wake() noexcept { return std::exchange(heeds_wake_, false) && mailbox_.take_wake(); }
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

  /// The handle that callbacks get. They may assign to it or move it away: it is mended here, and the loop has a hold
  /// of its own besides.
  Conn& self() noexcept {
    if (PeerAccess::peer(self_) != this) [[unlikely]]
      self_ = PeerAccess::handle(this);
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

  void keep(std::unique_ptr<Context> context) override;
  bool send_here(const Bytes* bytes, std::string_view text) noexcept;
  bool fetch_texts() noexcept;
  template <class Add>
  bool ask_to_send(Add add);
  bool tell(Mailbox::Asked asked) noexcept;

  // Small ones first: they lie in what Source and the mailbox leave free.
  Stage stage_ = Stage::kAccepted;
  Interest interest_ = Interest::kUnregistered;
  bool reuses_input_ = false;
  bool cut_off_ = false;
  bool unsent_ = false;
  bool heeds_wake_ = false;
  bool broken_ = false;  // some of its output is lost
  [[no_unique_address]] Mailbox mailbox_;
  FileDescriptor fd_;
  Action action_ = Action::None;
  std::unique_ptr<SendQueue> pending_;
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
