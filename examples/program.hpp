#pragma once

#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <evio/evio.hpp>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace examples {

/// Writes a line to stderr like Go's log: immediately and in one piece, from any thread. Allocates nothing, so that it
/// can report a lack of memory. What stderr does not accept is lost.
inline void log(std::string_view line) noexcept {
  const std::array<iovec, 2> parts{{{const_cast<char*>(line.data()), line.size()}, {const_cast<char*>("\n"), 1}}};
  while (::writev(STDERR_FILENO, parts.data(), parts.size()) < 0 && errno == EINTR) {
  }
}

/// Makes SIGINT and SIGTERM shut the server down until the process exits. Call it once, in `serving`.
inline void shut_down_on_signals(const evio::Server& server) {
  static const evio::Server running = server;
  // Created after `running`, so destroyed before it: a signal that arrives while the process exits never uses a
  // destroyed object.
  static const struct Handlers {
    Handlers() {
      set([](int) {
        const int saved = errno;
        running.shutdown();
        errno = saved;
      });
    }
    ~Handlers() { set(SIG_IGN); }
    static void set(void (*handler)(int)) {
      struct sigaction action {};
      action.sa_handler = handler;
      sigaction(SIGINT, &action, nullptr);
      sigaction(SIGTERM, &action, nullptr);
    }
  } handlers;
}

/// What an example serves: the part of its flags that all examples have in common.
struct Service {
  std::string name;
  int port = 0;
  int loops = 0;
  std::string network = "tcp";
  std::string unixsocket = {};      // empty: none
  bool loops_in_unix_line = false;  // Go's redis example prints the number of loops there, its http example does not
  bool reuseport = false;
  bool stdlib = false;  // poll(2) instead of epoll(7): in Go, package net instead of epoll
};

/// Serves the events as `service` says, logs the lines that Go's examples log, and ends on SIGINT and SIGTERM. A
/// `serving` of theirs is called when the lines are logged.
inline evio::Error serve(evio::Events events, const Service& service) {
  events.num_loops = service.loops;
  events.serving = [&service, then = std::move(events.serving)](const evio::Server& server) {
    shut_down_on_signals(server);
    const std::string loops = " (loops: " + std::to_string(server.num_loops()) + ")";
    log(service.name + " server started on port " + std::to_string(server.addrs()[0].port()) + loops);
    if (!service.unixsocket.empty()) {
      log(service.name + " server started at " + service.unixsocket + (service.loops_in_unix_line ? loops : ""));
    }
    if (service.reuseport) log("reuseport");
    if (service.stdlib) log("stdlib");
    return then ? then(server) : evio::Action::None;
  };
  const std::string suffix = service.stdlib ? "-net" : "";
  const std::string options = service.reuseport ? "?reuseport=true" : "";
  std::vector<std::string> addrs{service.network + suffix + "://:" + std::to_string(service.port) + options};
  if (!service.unixsocket.empty()) addrs.push_back("unix" + suffix + "://" + service.unixsocket);
  return evio::serve(std::move(events), addrs);
}

/// Runs a program and returns its exit status: 0, or 1 after one line about the error that it returned or threw. An
/// uncaught exception would end the process at once and leave the files of its unix sockets behind.
inline int run(evio::Error (*program)(int, char**), int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // The server must survive a log reader that exits.
  try {
    const evio::Error err = program(argc, argv);
    if (!err) return 0;
    log(err.message());
  } catch (const std::bad_alloc&) {
    log("out of memory");
  } catch (const std::exception& e) {
    log(e.what());
  } catch (...) {
    log("an exception that is no std::exception");
  }
  return 1;
}

}  // namespace examples
