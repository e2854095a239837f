// A chat with rooms, for nc or telnet: /nick NAME, /join ROOM, /quit; any other line is said to the room. Lines are
// never left out: who reads so slowly that 256 KiB wait for him is dropped.

#include <algorithm>
#include <chrono>
#include <evio/evio.hpp>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "examples/flags.hpp"
#include "examples/program.hpp"

namespace {

constexpr std::size_t kMostLine = 1024;
constexpr std::size_t kMostPending = 256 * 1024;

// Who is in which room. Lines are sent under the lock, so that all members of a room see them in the same order.
class Chat {
 public:
  void enter(const evio::Conn& conn) {
    const std::lock_guard lock(mutex_);
    members_[conn] = {.nick = "guest" + std::to_string(conn.id()), .room = {}};
    join(conn, "lobby");
  }
  void leave(const evio::Conn& conn) {
    const std::lock_guard lock(mutex_);
    if (const auto gone = members_.extract(conn)) say(gone.mapped().room, "* " + gone.mapped().nick + " has left");
  }
  evio::Action obey(const evio::Conn& conn, std::string_view line) {
    const std::lock_guard lock(mutex_);
    line = line.substr(0, line.find('\r'));
    if (line == "/quit") return evio::Action::Close;
    if (line.starts_with("/nick ")) {
      rename(conn, std::string(line.substr(6)));
    } else if (line.starts_with("/join ")) {
      join(conn, std::string(line.substr(6)));
    } else {
      say(members_[conn].room, members_[conn].nick + ": " + std::string(line));
    }
    return evio::Action::None;
  }
  void goodbye() {
    const std::lock_guard lock(mutex_);
    for (const auto& [conn, member] : members_) tell(conn, "* the server is going down: goodbye");
    members_.clear();  // that was the last word
  }

 private:
  struct Member {
    std::string nick, room;
  };

  static void tell(const evio::Conn& conn, const std::string& line) {
    const bool sent = conn.send(line + "\n");
    if (!sent && conn.pending() + line.size() >= kMostPending) conn.abort();  // not one that is just closing
  }
  void say(const std::string& room, const std::string& line) {
    for (const auto& [conn, member] : members_) {
      if (member.room == room) tell(conn, line);
    }
  }
  void rename(const evio::Conn& conn, const std::string& nick) {
    const auto has_it = [&](const auto& entry) { return entry.second.nick == nick; };
    if (std::ranges::any_of(members_, has_it)) return tell(conn, "* that name is taken");
    Member& member = members_[conn];
    say(member.room, "* " + member.nick + " is now " + nick);
    member.nick = nick;
  }
  void join(const evio::Conn& conn, const std::string& room) {
    Member& member = members_[conn];
    if (!member.room.empty()) say(member.room, "* " + member.nick + " has left");
    member.room = room;
    say(room, "* " + member.nick + " has joined " + room);
  }

  std::mutex mutex_;
  std::map<evio::Conn, Member> members_;
};

evio::Action read_lines(Chat& chat, const evio::Conn& conn, const evio::Bytes& in) {
  auto action = evio::Action::None;
  conn.context<evio::InputStream>()->feed(in, [&](std::string_view unread) -> std::size_t {
    const std::size_t end = unread.find('\n');
    if (std::min(end, unread.size()) > kMostLine) action = evio::Action::Close;
    if (action != evio::Action::None || end == unread.npos) return 0;
    action = chat.obey(conn, unread.substr(0, end));
    return end + 1;
  });
  return action;
}

evio::Events events_of(Chat& chat, std::chrono::seconds idle) {
  evio::Events events;
  events.opened = [&chat, idle](evio::Conn& conn, evio::Output&, evio::Options& opts) {
    conn.set_context(evio::InputStream());
    opts.idle_timeout = idle;
    opts.max_pending = kMostPending;
    chat.enter(conn);
    return evio::Action::None;
  };
  events.closed = [&chat](auto& conn, auto&) { return chat.leave(conn), evio::Action::None; };
  events.data = [&chat](evio::Conn& conn, const evio::Bytes& in, evio::Output&) { return read_lines(chat, conn, in); };
  events.timeout = [](evio::Conn&, evio::Timeout, evio::Output& out) {
    out = "* nothing has happened for too long: goodbye\n";
    return evio::Action::Close;
  };
  events.stopping = [&chat](const evio::Server&) { chat.goodbye(); };
  return events;
}

evio::Error run_chat(int argc, char** argv) {
  examples::Service service{.name = "chat", .port = 6667};
  int idle = 600;
  examples::Flags flags("chat");
  flags.add("port", service.port, "server port")
      .add("loops", service.loops, "num loops")
      .add("idle", idle, "seconds without a byte in either direction, after which a member is kicked; 0: never")
      .add("stdlib", service.stdlib, examples::kStdlibHelp)
      .parse(argc, argv);
  Chat chat;
  return examples::serve(events_of(chat, std::chrono::seconds(idle)), service);
}

}  // namespace

int main(int argc, char** argv) { return examples::run(run_chat, argc, argv); }
