#pragma once

#include <cstddef>
#include <cstdint>

namespace evio {

/// What one loop, or all loops of a server, have done so far: see Server::stats(). Each figure is counted before the
/// callback that tells of it, by the loop that serves the connection. All but the last two only rise.
struct Stats {
  std::uint64_t accepted = 0;       ///< Connections accepted or adopted, and opened; not those rejected.
  std::uint64_t dialed = 0;         ///< Outgoing connections that were opened.
  std::uint64_t unreachable = 0;    ///< Outgoing connections that were not.
  std::uint64_t closed = 0;         ///< Opened connections that have ended, in whatever way; detached ones too.
  std::uint64_t aborted = 0;        ///< Connections that this side has reset: abort(), timeouts, failed handshakes.
  std::uint64_t timed_out = 0;      ///< Connections that a timeout has closed, Events::close_timeout too.
  std::uint64_t rejected = 0;       ///< Connections refused by a limit or by `accepting`.
  std::uint64_t refused_sends = 0;  ///< Calls of send() refused by Options::max_pending.
  std::uint64_t accept_errors = 0;  ///< Failures of accept(2) that made a listener pause.

  std::uint64_t reads = 0;              ///< Calls of read(2) that brought bytes of a stream.
  std::uint64_t writes = 0;             ///< Calls of send(2) and sendmsg(2) that took bytes of a stream.
  std::uint64_t bytes_read = 0;         ///< Bytes of streams, discarded ones too.
  std::uint64_t bytes_written = 0;      ///< Bytes of streams that the kernel has taken.
  std::uint64_t datagrams_read = 0;     ///< Datagrams received.
  std::uint64_t datagrams_written = 0;  ///< Datagrams sent.
  std::uint64_t datagrams_failed = 0;   ///< Datagrams that could not be sent.

  std::uint64_t turns = 0;     ///< Iterations of the loop.
  std::uint64_t wake_ups = 0;  ///< Times that another thread has woken the loop.
  std::uint64_t notes = 0;     ///< Notes that have reached the loop: connections, wakes, sends, posted functions.
  std::uint64_t timers = 0;    ///< Functions of post_after() that were called, and timeouts.

  std::uint64_t handshakes = 0;          ///< Handshakes that were completed, of both roles.
  std::uint64_t handshakes_resumed = 0;  ///< Those of them that resumed a session.
  std::uint64_t handshakes_failed = 0;   ///< Handshakes and PROXY headers that were refused, garbled or late.

  std::size_t connections = 0;  ///< Connections that there are now: from accept on, or once a dial is open.
  std::size_t pending = 0;      ///< Bytes that wait now because their sockets are full.
};

}  // namespace evio
