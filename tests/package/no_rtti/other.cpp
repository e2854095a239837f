// The other part of the program, or a shared library that it uses.
#include "session.hpp"

namespace {
struct Private {};
}  // namespace

bool other_part_finds_session(const evio::Conn& conn) {
  const Session* session = conn.context<Session>();
  return session != nullptr && session->value == 7 && conn.context<const Session>() == session;
}

bool other_part_finds_its_own(const evio::Conn& conn) { return conn.context<Private>() != nullptr; }
