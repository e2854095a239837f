#include "examples/redis/service.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "examples/pipeline.hpp"
#include "examples/program.hpp"
#include "examples/redis/command_reader.hpp"
#include "examples/redis/store.hpp"

namespace redis {

namespace {

// The state of one connection: the part of its next command that has arrived, and how far it has been parsed.
struct Session {
  examples::Pipeline pipeline;
  CommandReader reader;
};

// A command and what it needs to run.
struct Call {
  const CommandReader& args;
  Store& store;
  evio::Conn& conn;
  evio::Output& out;
};

void append_line(evio::Output& out, char kind, std::size_t number) {
  std::array<char, 24> line;
  line[0] = kind;
  char* end = std::to_chars(line.data() + 1, line.data() + line.size() - 2, number).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out.append(std::string_view(line.data(), static_cast<std::size_t>(end - line.data())));
}

// A large value is shared with the store, not copied; a view is always copied.
template <class Value>
void append_bulk(evio::Output& out, const Value& value) {
  append_line(out, '$', value.size());
  out.append(value).append("\r\n");
}

// Bytes from a client must not end the line of an error.
void append_error(evio::Output& out, std::string_view before, std::string_view quoted, std::string_view after) {
  constexpr std::size_t kMaxQuoted = 128;  // redis-server's too
  out.append("-ERR ").append(before);
  for (const char c : quoted.substr(0, kMaxQuoted)) out.push_back(c == '\r' || c == '\n' ? ' ' : c);
  out.append(after).append("\r\n");
}

evio::Action ok(Call& call) {
  call.out.append("+OK\r\n");
  return evio::Action::None;
}

evio::Action ping(Call& call) {
  if (call.args.size() == 1) {
    call.out.append("+PONG\r\n");
  } else {
    append_bulk(call.out, call.args[1]);
  }
  return evio::Action::None;
}

evio::Action echo(Call& call) {
  append_bulk(call.out, call.args[1]);
  return evio::Action::None;
}

evio::Action get(Call& call) {
  const bool found = call.store.get(call.args[1], [&](const evio::Bytes& value) { append_bulk(call.out, value); });
  if (!found) call.out.append("$-1\r\n");
  return evio::Action::None;
}

evio::Action set(Call& call) {
  call.store.set(call.args[1], call.args[2]);
  return ok(call);
}

evio::Action del(Call& call) {
  std::vector<std::string_view> keys;
  for (std::size_t i = 1; i < call.args.size(); ++i) keys.push_back(call.args[i]);
  append_line(call.out, ':', call.store.remove(keys));
  return evio::Action::None;
}

evio::Action flushdb(Call& call) {
  call.store.clear();
  return ok(call);
}

evio::Action wake(Call& call) {
  call.conn.wake();
  return ok(call);
}

evio::Action quit(Call& call) {
  ok(call);
  return evio::Action::Close;
}

evio::Action shutdown(Call& call) {
  ok(call);
  return evio::Action::Shutdown;
}

// A web page can make a browser send a POST to this port, with commands in the body. But the page cannot choose what
// HTTP puts before the body: a line that begins with POST, or one that begins with Host:.
evio::Action hang_up(Call& call) {
  examples::log(
      "Possible SECURITY ATTACK detected: POST and Host: are HTTP, sent by a browser perhaps. Connection from " +
      call.conn.remote_addr().to_string() + " aborted.");
  return evio::Action::Close;
}

struct Command {
  std::string_view name;
  std::size_t min_args, max_args;  // including the name
  evio::Action (*run)(Call&);
};

constexpr std::size_t kAny = CommandReader::kMaxArgs;
constexpr std::array kCommands{
    Command{"GET", 2, 2, get},         Command{"SET", 3, 3, set},          Command{"PING", 1, 2, ping},
    Command{"ECHO", 2, 2, echo},       Command{"DEL", 2, kAny, del},       Command{"FLUSHDB", 1, kAny, flushdb},
    Command{"WAKE", 1, kAny, wake},    Command{"QUIT", 1, kAny, quit},     Command{"SHUTDOWN", 1, kAny, shutdown},
    Command{"POST", 1, kAny, hang_up}, Command{"HOST:", 1, kAny, hang_up},
};

bool is(const Command& command, std::string_view name) {
  const auto same = [](char a, char b) { return a == (b >= 'a' && b <= 'z' ? b - ('a' - 'A') : b); };
  return std::equal(command.name.begin(), command.name.end(), name.begin(), name.end(), same);
}

evio::Action run(Call& call) {
  const std::string_view name = call.args[0];
  const auto command = std::find_if(kCommands.begin(), kCommands.end(), [&](const Command& c) { return is(c, name); });
  if (command == kCommands.end()) {
    append_error(call.out, "unknown command '", name, "'");
  } else if (call.args.size() < command->min_args || call.args.size() > command->max_args) {
    append_error(call.out, "wrong number of arguments for '", name, "' command");
  } else {
    return command->run(call);
  }
  return evio::Action::None;
}

using StorePtr = std::shared_ptr<Store>;

// Runs the commands that have come. What does not fit the output waits until the client has read some.
evio::Action run_all(const StorePtr& store, evio::Conn& conn, const evio::Bytes& in, evio::Output& out) {
  auto& [pipeline, reader] = *conn.context<Session>();
  Call call{reader, *store, conn, out};
  const auto run_next = [&, &reader = reader](std::string_view unread, evio::Action& action) -> std::size_t {
    const CommandReader::Result result = reader.read(unread);
    if (result.status == CommandReader::Status::kError) {
      append_error(out, "Protocol error: ", reader.error(), "");
      action = evio::Action::Close;
      return unread.size();
    }
    if (result.status == CommandReader::Status::kCommand) action = run(call);
    return result.size;
  };
  const evio::Action action = pipeline.feed(conn, in, out, run_next);
  if (pipeline.is_full() && conn.pending() == 0) {
    conn.post([store](evio::Conn& self, evio::Output& more) { return run_all(store, self, {}, more); });
  }
  return action;
}

evio::Action on_data(const StorePtr& store, evio::Conn& conn, const evio::Bytes& in, evio::Output& out) {
  if (!in.empty()) return run_all(store, conn, in, out);
  examples::log("wake from " + conn.remote_addr().to_string());
  return evio::Action::Close;
}

}  // namespace

evio::Events events() {
  evio::Events events;
  events.opened = [](evio::Conn& conn, evio::Output&, evio::Options&) {
    conn.set_context(Session());
    return evio::Action::None;
  };
  const auto store = std::make_shared<Store>();
  events.data = [store](evio::Conn& conn, const evio::Bytes& in, evio::Output& out) {
    return on_data(store, conn, in, out);
  };
  events.drained = [store](evio::Conn& conn, evio::Output& out) { return run_all(store, conn, {}, out); };
  return events;
}

}  // namespace redis
