// A program whose connection has a context. Exits with 0 if each part of it finds the context under exactly its type.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "session.hpp"

namespace {

constexpr int kSeconds = 300;
int failures = 0;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", what);
  ++failures;
}

struct Private {};
struct Base {
  virtual ~Base() = default;
};
struct Derived : Base {};

void check(evio::Conn& conn) {
  expect(conn.context<Session>() == nullptr, "the context is an int, not yet a Session");

  conn.set_context(Session());
  expect(conn.context<Session>() != nullptr && conn.context<Session>()->value == 7, "a context is found");
  expect(conn.context<int>() == nullptr, "it is not an int");
  expect(conn.context<std::unique_ptr<Session>>() == nullptr, "it is not a pointer");
  expect(other_part_finds_session(conn), "the other part finds it");

  conn.set_context(Private());
  expect(conn.context<Private>() != nullptr, "a type of this file is found");
  expect(conn.context<Session>() == nullptr, "the context before it is gone");
  expect(!other_part_finds_its_own(conn), "it is not the other file's type of the same name");

  conn.set_context(Derived());
  expect(conn.context<Derived>() != nullptr, "a polymorphic type is found");
  expect(conn.context<Base>() == nullptr, "it is not its base");

  conn.set_context(std::make_unique<int>(1));
  expect(conn.context<std::unique_ptr<int>>() != nullptr, "a type that can only be moved is found");
}

// Connects, and waits for the end of the stream.
void connect_to(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  char byte = 0;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) (void)!::read(fd, &byte, 1);
  ::close(fd);
}

}  // namespace

int main() {
  ::alarm(kSeconds);  // the watchdog
  bool opened = false;
  std::jthread client;
  evio::Events events;
  events.serving = [&](const evio::Server& server) {
    client = std::jthread(connect_to, server.addrs().front().port());
    return evio::Action::None;
  };
  events.opened = [&](evio::Conn& conn, evio::Output&, evio::Options&) {
    opened = true;
    conn.set_context(evio::InputStream());
    conn.context<evio::InputStream>()->feed(std::string("some"), [](std::string_view unread) { return unread.size(); });
    conn.set_context(0);
    check(conn);
    return evio::Action::Shutdown;
  };
  const evio::Error err = evio::serve(std::move(events), "tcp://127.0.0.1:0");
  if (err) std::fprintf(stderr, "%s\n", err.message().c_str());
  expect(!err && opened, "a connection was opened");
  return failures == 0 ? 0 : 1;
}
