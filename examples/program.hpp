#pragma once

#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <evio/evio.hpp>
#include <exception>
#include <new>
#include <string_view>

namespace examples {

/// Writes a line to stderr as Go's log does: at once and in one piece, from any thread. Allocates nothing, so that it
/// can report a lack of memory. What stderr does not take is lost.
inline void log(std::string_view line) noexcept {
  const std::array<iovec, 2> parts{{{const_cast<char*>(line.data()), line.size()}, {const_cast<char*>("\n"), 1}}};
  while (::writev(STDERR_FILENO, parts.data(), parts.size()) < 0 && errno == EINTR) {
  }
}

/// From now on SIGINT and SIGTERM shut the server down, until the process exits. To be called once, in `serving`.
inline void shut_down_on_signals(const evio::Server& server) {
  static const evio::Server running = server;
  // Made after `running`, so destroyed before it: a signal that comes while the process exits finds nothing that is
  // gone.
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

/// Runs a program and returns its exit status: 0, or 1 after one line about the error that it returned or threw. An
/// exception that nobody catches ends a process on the spot, and its unix sockets' files stay behind.
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
