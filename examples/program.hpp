#pragma once

#include <cerrno>
#include <csignal>
#include <evio/evio.hpp>
#include <iostream>
#include <string>

namespace examples {

/// One line on stderr, as Go's log writes it: at once and in one piece, from any thread.
inline void log(const std::string& line) { std::cerr << line + '\n'; }

/// From now on SIGINT and SIGTERM shut the server down.
inline void shut_down_on_signals(const evio::Server& server) {
  // Never destroyed: a signal may come as late as when the process is exiting.
  static const evio::Server* running = nullptr;
  running = new evio::Server(server);
  struct sigaction action {};
  action.sa_handler = [](int) {
    const int saved = errno;
    running->shutdown();
    errno = saved;
  };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

/// main's last line: what serve() returned as the program's exit status.
inline int exit_status(const evio::Error& err) {
  if (!err) return 0;
  log(err.message());
  return 1;
}

}  // namespace examples
