#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "evio/addr.hpp"
#include "evio/error.hpp"
#include "evio/events.hpp"
#include "internal/base/intrusive_list.hpp"
#include "internal/loop/loop.hpp"
#include "internal/net/proxy_header.hpp"
#include "internal/stream/stream.hpp"
#include "internal/stream/tls_session.hpp"

namespace evio::internal {

class Dialing;
class Handshake;
class ServerState;

/// What a connection needs of its peer before it is opened.
struct HandshakeRules {
  bool tls = false;
  std::optional<ProxyVersions> proxy = {};  // before that

  bool any() const noexcept { return tls || proxy; }
};

/// The handshakes of one loop, and how many of their steps a turn takes: those that are connected do not wait for a
/// flood of others. A wait reports only so many of those that are ready, and goes round. So there are no more steps
/// until it has come to the first one that was put off: in between, everybody had a turn. A flood of thousands is not
/// gone round for each few steps, which would take longer than they do.
/// Thread-safety: its loop's thread.
class Handshakes {
 public:
  static constexpr int kStepsATurn = 8;
  static constexpr int kTurnsARound = 4;  // at most

  Handshakes(Loop& loop, ServerState& server, const Events& events) : loop_(loop), server_(server), events_(events) {}
  Handshakes(const Handshakes&) = delete;
  Handshakes& operator=(const Handshakes&) = delete;

  /// Ends those of accepted connections: the server shuts down.
  void end() noexcept;

 private:
  friend class Handshake;

  bool may_go_on(Handshake& one) noexcept;

  Loop& loop_;
  ServerState& server_;
  const Events& events_;
  IntrusiveList<Handshake> active_;     // of accepted connections
  const Handshake* put_off_ = nullptr;  // the first one that was, since there were steps
  std::uint16_t turn_ = 0;              // when that was, or else when there were steps
  int steps_left_ = kStepsATurn;
};

/// What a connection and its peer tell each other before it is opened: a PROXY header, a TLS handshake. That of an
/// accepted connection ends after handshake_timeout, that of a dialed one with the dial.
/// Thread-safety: made by the thread that accepts; then its loop's.
class Handshake final : public Opening {
 public:
  /// Of a connection that was accepted. Its addresses are these, unless a PROXY header says others: until that is read
  /// it has no address, so max_per_ip does not count it.
  Handshake(Handshakes& all, Stream& stream, HandshakeRules rules, int addr_index, const Addr& local,
            const Addr& remote);
  /// Of one that was dialed and has its socket.
  Handshake(Handshakes& all, Stream& stream, std::unique_ptr<TlsSession> session, Dialing& dial);
  ~Handshake();

  void on_begin() noexcept override;
  void on_ready() noexcept override;
  void on_cancel() noexcept override;
  void forget() noexcept override { delete this; }

 private:
  template <class T, class N>
  friend class IntrusiveList;
  friend class Handshakes;

  // All of these return false when it waits for its peer, or is over: then this may be gone.
  bool go_on();
  bool read_proxy_header();
  bool take_addresses(const ProxyHeader& header);
  bool read_hello();
  bool choose_context(std::string server_name);
  bool shake();

  void finish() noexcept;
  bool wait_for(Interest interest) noexcept;
  void time_out(Timer::TimePoint now) noexcept;
  bool fail(std::errc code, std::string_view what, bool reset);
  bool fail(const Error& err, bool reset) noexcept;
  bool fail_reading(ssize_t n);
  bool fail_without_memory() noexcept;
  bool reject();
  void tell(Notice what, std::error_code code, std::string_view why) noexcept;
  void leave() noexcept;

  Handshakes& all_;
  Stream& stream_;
  HandshakeRules rules_;  // what is still to be done
  const int addr_index_ = -1;
  Addr local_;  // the socket's, until a PROXY header has named others
  Addr remote_;
  std::string received_;
  std::unique_ptr<TlsSession> session_;
  Dialing* const dial_ = nullptr;
  bool was_put_off_ = false;  // by Handshakes; what was not may be destroyed by the thread that has accepted it
  ListHook<Handshake> hook_;
  MemberTimer<&Handshake::time_out> timer_{*this};
};

}  // namespace evio::internal
