#pragma once

#include <memory>
#include <string_view>

#include "evio/conn.hpp"
#include "evio/detached_conn.hpp"
#include "evio/detail/context.hpp"
#include "evio/dial.hpp"
#include "internal/base/intrusive_list.hpp"
#include "internal/loop/loop.hpp"

namespace evio::internal {

class Dialing;
class Handshakes;
class ServerState;

/// The connections of one loop that do not come from a listener: those that are being dialed, and adopted ones.
/// Thread-safety: the static functions any thread, even after the loop has ended; the rest its loop's.
class Dialer {
 public:
  Dialer(Loop& loop, ServerState& server, Handshakes& handshakes)
      : loop_(loop), server_(server), handshakes_(handshakes) {}
  Dialer(const Dialer&) = delete;
  Dialer& operator=(const Dialer&) = delete;

  /// Server::dial(). `context` may be null.
  static Conn dial(ServerState& server, std::string_view addr, Dial&& how, std::unique_ptr<Context> context);
  /// Server::adopt(). `context` may be null.
  static Conn adopt(ServerState& server, DetachedConn socket, std::unique_ptr<Context> context, int loop);

  /// Those under way end.
  void cancel() noexcept;
  /// A note was lost: it may have been about one of them.
  void sweep() noexcept;

 private:
  friend class Dialing;

  Loop& loop_;
  ServerState& server_;
  Handshakes& handshakes_;
  IntrusiveList<Dialing> active_;
};

}  // namespace evio::internal
