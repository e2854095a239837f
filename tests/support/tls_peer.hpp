#pragma once

#include <sys/socket.h>

#include <functional>
#include <thread>
#include <utility>

#include "tests/support/quiet_listener.hpp"
#include "tests/support/tls_wire.hpp"
#include "tests/support/unique_fd.hpp"

namespace evio::test {

/// A listener of the test's own for a server to dial, and a thread that accepts its connections, one after the other,
/// and serves each. Thread-safety: one thread; what serves is called on the thread of its own.
class TlsPeer {
 public:
  /// `serve` may keep the connection as long as it likes.
  explicit TlsPeer(std::function<void(int fd)> serve)
      : thread_([this, serve = std::move(serve)] {
          for (;;) {
            const UniqueFd fd = listener_.accept();
            if (!fd.valid()) return;
            serve(fd.get());
          }
        }) {}
  ~TlsPeer() {
    listener_.shutdown();
    thread_.join();
  }
  TlsPeer(const TlsPeer&) = delete;
  TlsPeer& operator=(const TlsPeer&) = delete;

  int port() const noexcept { return listener_.port(); }

 private:
  QuietListener listener_;
  std::thread thread_;
};

/// Keeps a connection until its peer has ended it.
inline void wait_for_end(int fd) {
  char ignored[1024];
  while (::recv(fd, ignored, sizeof(ignored), 0) > 0) {
  }
}

/// Shakes hands as a server does, and says nothing else.
inline void serve_tls(int fd) {
  if (TlsWire::accept(fd, true) != nullptr) wait_for_end(fd);
}

}  // namespace evio::test
