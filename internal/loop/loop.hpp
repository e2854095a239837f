#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <random>
#include <vector>

#include "evio/events.hpp"
#include "internal/buffer/read_buffer.hpp"
#include "internal/datagram/datagram_socket.hpp"
#include "internal/loop/note_queue.hpp"
#include "internal/net/listener_set.hpp"
#include "internal/poll/poller.hpp"
#include "internal/server/acceptor.hpp"
#include "internal/server/balancer.hpp"
#include "internal/server/server_state.hpp"
#include "internal/stream/connection.hpp"

// What every message passes through is compiled into one function: see loop_steady.hpp.
#define EVIO_HOT [[gnu::always_inline]]

namespace evio::internal {

/// One event loop: waits, accepts, works off notes, and takes each ready connection from state to state.
///
/// Every turn: wait; accepts (before any user's callback can block); notes; connections and datagrams; timers; bury the
/// dead. What it does with a connection is written in steps: each is a short function, and names the one that follows
/// at once, or kWait. Thread-safety: set up by the engine; from run() on all of it belongs to the thread in run().
class Loop {
 public:
  Loop(int index, std::unique_ptr<Poller> poller, const Events& events, ServerState& server, ListenerSet& listeners,
       Balancer& balancer);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  const RefPtr<NoteQueue>& queue() const noexcept { return queue_; }
  /// Watches a listening socket; it stays the caller's.
  std::error_code listen(const Acceptor& acceptor);
  /// Serves a datagram socket, which is the loop's from now on.
  std::error_code receive(FileDescriptor fd, int addr_index, const Addr& addr);

  /// Runs until the server shuts down and everything is closed.
  void run();

 private:
  using Clock = Connection::Clock;
  static constexpr Clock::time_point kNever = Clock::time_point::max();

  // How long a listener, or a datagram socket, rests when the system has run out of descriptors or memory.
  static constexpr std::chrono::milliseconds kPause{100};

  // After Close the peer may still be sending: closing at once would answer with a reset, which can destroy what it has
  // not read yet. So its input is discarded for this long, or until it ends before (RFC 1122, 4.2.2.13).
  static constexpr std::chrono::seconds kLinger{1};

  enum class Step : std::uint8_t {
    kWait,
    kOpen,
    kRead,
    kWake,
    kSettle,
    kWrite,
    kAct,
    kSalvage,
    kClose,
    kDetach,
    kLinger
  };

  // loop.cpp: the turn and timers
  void turn();
  bool must_go_on() const noexcept;
  std::chrono::nanoseconds time_to_wait() const;
  void run_timers();
  void resume_all(Clock::time_point now);
  void tick();
  void bury();
  template <class Callback>
  void guarded(Callback callback);

  // loop_shutdown.cpp
  void begin_shutdown();
  void stop_listening();
  bool ended();
  void end();
  static int unacknowledged(const Connection& c);
  bool lingers(const Connection& c) const;
  void look_at_lingering(Clock::time_point now);
  void let_go(Connection& c);
  void let_go_of_acknowledged(Clock::time_point now);

  // loop_notes.cpp
  bool work_off_notes();
  void work_off(const Note& note);
  void read_requests(Connection& c) noexcept;
  void send_requested(Connection& c) noexcept;
  void look_around();

  // loop_accept.cpp
  void accept_from(std::span<const Ready> ready);
  void accept(Acceptor& acceptor);
  void open_accepted();
  bool accept_one(Acceptor& acceptor);
  void place(Acceptor& acceptor, FileDescriptor fd, const SocketAddress& peer);
  void pause(Acceptor& acceptor);
  void resume(Acceptor& acceptor);
  std::uint64_t random() noexcept { return random_(); }

  // loop_steady.hpp, loop_steady.cpp: from readiness to the first step, and the steps of every message
  void serve(std::span<const Ready> ready) noexcept;
  void dispatch(Connection& c, Step step) noexcept;
  Step take(Connection& c, Step step);
  Step out_of_memory(Connection& c) noexcept;
  EVIO_HOT static Step first_step(Connection& c) noexcept;
  EVIO_HOT Step read(Connection& c);
  EVIO_HOT Step deliver(Connection& c, const Bytes& in);
  EVIO_HOT Step settle(Connection& c, Action action);
  EVIO_HOT Step transmit(Connection& c);
  EVIO_HOT Step rest(Connection& c);

  // loop_connection.cpp: the other steps of a connection's life
  Step open(Connection& c);
  Step read_nothing(Connection& c, ssize_t n);
  Step thrown(Connection& c);
  Step transmit_slowly(Connection& c);
  Step keep_rest(Connection& c, ssize_t written);
  Step transmitted(Connection& c, Sent sent);
  Step write(Connection& c);
  static Step first_step_slowly(Connection& c) noexcept;
  Step rest_slowly(Connection& c);
  Step watch(Connection& c, Interest interest);
  Step act(Connection& c);
  Step salvage(Connection& c);
  Step close(Connection& c);
  Step detach(Connection& c);
  Step linger(Connection& c);
  Step lost_contact(Connection& c, const char* call, std::error_code code);
  void heed(Connection& c, Action action);
  void leave(Connection& c);
  bool discard_input(Connection& c) noexcept;
  void discard(Connection& c);
  bool announce();

  // loop_datagram.cpp
  void read_datagrams(DatagramSocket& socket);
  void hear_datagram(DatagramSocket& socket, std::size_t i);
  void answer(DatagramSocket& socket);
  void watch(DatagramSocket& socket);
  void pause(DatagramSocket& socket);
  void forget(DatagramSocket& socket);
  void retire(DatagramSocket& socket);

  const Events& events_;
  ServerState& server_;
  ListenerSet& listeners_;
  Balancer& balancer_;
  const int index_;
  std::unique_ptr<Poller> poller_;
  RefPtr<NoteQueue> queue_;
  ReadBuffer input_;
  Output out_;
  ConnectionList open_;
  ConnectionList lingering_;  // by deadline
  ConnectionList dead_;       // freed at the end of the turn: what is ready may still point at them
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  std::vector<std::unique_ptr<DatagramSocket>> datagrams_;
  std::vector<Conn> accepted_;             // for this loop, in this turn
  std::array<char, 16 * 1024> discarded_;  // what is read to be thrown away
  std::array<Note, 256> notes_;            // as many as a turn works off
  std::vector<Note> own_notes_;
  std::minstd_rand random_;
  Clock::time_point next_tick_ = kNever;
  Clock::time_point next_resume_ = kNever;
  Clock::time_point next_look_ = kNever;
  Clock::time_point drain_until_ = kNever;
  bool more_notes_ = false;
  bool stopping_ = false;
};

template <class Callback>
void Loop::guarded(Callback callback) {
  try {
    if (callback() == Action::Shutdown) server_.shut_down();
  } catch (...) {
    server_.fail();
  }
}

}  // namespace evio::internal
