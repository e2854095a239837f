#pragma once

#include <string>

#include "evio/evio.hpp"
#include "tests/support/event_log.hpp"

namespace evio::test {

/// Handlers that many tests share.

inline Action echo(Conn&, const Bytes& in, Output& out) {
  out = in;
  return Action::None;
}

/// Echoes; "close" closes behind that, "detach" leaves.
inline Action obey(Conn& conn, const Bytes& in, Output& out) {
  echo(conn, in, out);
  return in == "close" ? Action::Close : in == "detach" ? Action::Detach : Action::None;
}

/// Notes "opened", "data" or "wake" (by whether there was input), "closed" or "closed: why". data echoes. The log
/// must outlive the server.
inline void note_all(Events& events, EventLog& log) {
  events.opened = [&log](Conn& conn, Output&, Options&) {
    log.add(conn, "opened");
    return Action::None;
  };
  events.data = [&log](Conn& conn, const Bytes& in, Output& out) {
    log.add(conn, in.empty() ? "wake" : "data");
    return echo(conn, in, out);
  };
  events.closed = [&log](Conn& conn, const Error& err) {
    log.add(conn, err ? "closed: " + err.message() : "closed");
    return Action::None;
  };
}

}  // namespace evio::test
