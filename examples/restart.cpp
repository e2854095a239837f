// Echoes at the given addresses. On SIGHUP it replaces itself without losing a connection: it starts its program again,
// hands over the listening sockets, and drains as soon as the new process serves.
//
//   restart [--loops=N] [--drain=SECONDS] ADDRESS...

#include <spawn.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <evio/evio.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "examples/flags.hpp"
#include "examples/program.hpp"

namespace {

struct Settings {
  std::string program;
  int loops = 1;
  int drain = 60;  // how many seconds connections have to end
  int ready = -1;  // in a successor: the socket on which it reports that it serves
  std::vector<std::string> addresses;
};

// The sockets over which this process talks to itself and to its successor are connections like any other; these are
// their contexts.
struct Signals {};
struct Successor {
  bool serves = false;
};

volatile std::sig_atomic_t signal_end = -1;

void on_hangup(int) {
  const int saved = errno;
  [[maybe_unused]] const auto written = ::write(signal_end, "h", 1);
  errno = saved;
}

struct SocketPair {
  SocketPair() { ok = ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0; }
  bool ok = false;
  int ends[2] = {-1, -1};
};

std::string number(std::string_view before, int value) { return std::string(before) + std::to_string(value); }

// Starts the program with this one's listening sockets. No other child process inherits them or `ready`.
bool spawn(const Settings& settings, const std::vector<int>& sockets, int ready) {
  std::vector<std::string> args{settings.program, number("--loops=", settings.loops),
                                number("--drain=", settings.drain), number("--ready=", ready)};
  posix_spawn_file_actions_t actions;
  int err = ::posix_spawn_file_actions_init(&actions);
  if (err == 0) {
    // To the same number: that only takes close-on-exec away (posix_spawn(3)).
    err = ::posix_spawn_file_actions_adddup2(&actions, ready, ready);
    for (const int socket : sockets) {
      args.push_back(number("fd://", socket));
      if (err == 0) err = ::posix_spawn_file_actions_adddup2(&actions, socket, socket);
    }
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    pid_t pid = -1;
    if (err == 0) err = ::posix_spawnp(&pid, settings.program.c_str(), &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  if (err != 0) examples::log("cannot start " + settings.program + ": " + std::strerror(err));
  return err == 0;
}

bool start_successor(const evio::Server& server, const Settings& settings) {
  const std::vector<int> sockets = server.dup_listeners();
  const SocketPair pair;
  evio::DetachedConn own(pair.ends[0]);
  const bool started = !sockets.empty() && pair.ok && spawn(settings, sockets, pair.ends[1]);
  if (!started) examples::log("cannot hand the sockets over");
  if (started) server.adopt(std::move(own), Successor(), 0);
  if (pair.ok) ::close(pair.ends[1]);
  for (const int socket : sockets) ::close(socket);
  return started;
}

class Restarter {
 public:
  explicit Restarter(const Settings& settings) : settings_(settings) {}

  /// Starts a successor on every SIGHUP. Both sockets belong to loop 0, and so to one thread.
  void start(const evio::Server& server) {
    const SocketPair pair;
    if (!pair.ok) return examples::log("cannot restart: no socket for signals");
    signal_end = pair.ends[1];
    signals_ = server.adopt(evio::DetachedConn(pair.ends[0]), Signals(), 0);
    std::signal(SIGHUP, on_hangup);
  }
  /// Input of one of these sockets; false for the connections of clients.
  bool handle(evio::Conn& conn) {
    if (conn.context<Signals>() != nullptr) {
      if (!starting_) starting_ = start_successor(conn.server(), settings_);
      return true;
    }
    auto* const successor = conn.context<Successor>();
    if (successor == nullptr) return false;
    successor->serves = true;
    signals_.close();  // it would count as a connection
    conn.server().drain(std::chrono::seconds(settings_.drain));
    return true;
  }
  /// A successor that ends before it reports that it serves has failed: this process goes on.
  void on_closed(evio::Conn& conn) {
    const auto* const successor = conn.context<Successor>();
    if (successor == nullptr || successor->serves) return;
    starting_ = false;
    examples::log("the new process does not serve: this one goes on");
  }

 private:
  const Settings& settings_;
  evio::Conn signals_;
  bool starting_ = false;
};

// Tells the predecessor that it may drain.
void announce(const evio::Server& server, const Settings& settings) {
  const std::string who = "restart server " + std::to_string(::getpid());
  examples::log(who + " started on port " + std::to_string(server.addrs()[0].port()) +
                number(" (loops: ", server.num_loops()) + ")");
  if (settings.ready < 0) return;
  [[maybe_unused]] const auto written = ::write(settings.ready, "r", 1);
  ::close(settings.ready);
}

Settings parse(int argc, char** argv) {
  Settings settings;
  settings.program = argv[0];
  settings.addresses = examples::Flags("restart")
                           .add("loops", settings.loops, "num loops")
                           .add("drain", settings.drain, "seconds that connections have to end after SIGHUP")
                           .add("ready", settings.ready, "set by the process before this one")
                           .parse(argc, argv);
  if (settings.addresses.empty()) settings.addresses.emplace_back("tcp://:5000");
  return settings;
}

evio::Error run_restart(int argc, char** argv) {
  const Settings settings = parse(argc, argv);
  std::signal(SIGCHLD, SIG_IGN);  // nobody waits for a successor that ends
  Restarter restarter(settings);
  evio::Events events;
  events.num_loops = settings.loops;
  events.serving = [&](const evio::Server& server) {
    examples::shut_down_on_signals(server);
    restarter.start(server);
    announce(server, settings);
    return evio::Action::None;
  };
  events.data = [&](evio::Conn& conn, const evio::Bytes& in, evio::Output& out) {
    if (conn.addr_index() < 0 && restarter.handle(conn)) return evio::Action::None;
    out = in;
    return evio::Action::None;
  };
  events.closed = [&](evio::Conn& conn, const evio::Error&) {
    if (conn.addr_index() < 0) restarter.on_closed(conn);
    return evio::Action::None;
  };
  return evio::serve(std::move(events), settings.addresses);
}

}  // namespace

int main(int argc, char** argv) { return examples::run(run_restart, argc, argv); }
