#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "evio/error.hpp"
#include "evio/tls.hpp"

namespace evio::internal {

/// What TLS has made of a connection: it reads and writes a socket that is its owner's, and gives out and takes plain
/// bytes. Implemented in internal/tls, a library of its own; here is all that the others know of it.
/// Thread-safety: its loop's thread.
class TlsSession {
 public:
  enum class Progress : std::uint8_t {
    kDone,
    kWantsRead,   // to go on when the socket can be read
    kWantsWrite,  // or written to
    kFailed,      // failure() says why; the peer was told, if it can be
  };

  virtual ~TlsSession() = default;

  /// Goes on with the handshake: one read(2) at most, and what it has to write.
  virtual Progress handshake(int fd) noexcept = 0;

  // All of these are as the system calls that they stand for: -1 and errno, EAGAIN for what is not possible now. EPROTO
  // and others may have failure() say more.

  /// One read(2) at most, but none where has_input(). 0: the peer has ended its side, by close_notify. EPROTO, and
  /// is_truncated(): without it. EAGAIN if what came are no bytes for the user. `to` has 32 KiB at least.
  virtual ssize_t read(int fd, std::span<char> to) noexcept = 0;
  /// Takes from the beginning of `parts`, and returns, the bytes of those records that the socket has taken whole. The
  /// others, which were encrypted already, must come first in the next call.
  virtual ssize_t write(int fd, std::span<const iovec> parts) noexcept = 0;
  /// write() can go on only behind a message of the peer's that has come in part: read() first.
  virtual bool wants_input() const noexcept = 0;
  /// Records that the socket has not taken yet: true if flush() or write() is to be called when it can be written to.
  virtual bool has_unsent() const noexcept = 0;
  /// Writes those. 0 once the socket has taken them all.
  virtual int flush(int fd) noexcept = 0;
  /// close_notify, once; the socket itself stays as it is. 0 once the socket has taken it, and all before it.
  virtual int end_output(int fd) noexcept = 0;

  /// Input was read from the socket and not given out.
  virtual bool has_input() const noexcept = 0;
  /// The peer's stream has ended without close_notify.
  virtual bool is_truncated() const noexcept = 0;
  /// After the peer's close_notify this side may go on: not so before TLS 1.3 (RFC 8446, 6.1).
  virtual bool may_half_close() const noexcept = 0;

  /// After the handshake.
  virtual const TlsInfo& info() const noexcept = 0;
  /// Why it has failed: "certificate has expired" with permission_denied, "wrong version number" with protocol_error.
  virtual const Error& failure() const noexcept = 0;
};

/// What a TlsContext is a handle of. Thread-safety: any thread.
class TlsState {
 public:
  virtual ~TlsState() = default;

  /// The listener's side of a connection. `received`: what was read from the socket so far, the client's first message
  /// at least. `server_name`: what it has asked for, in lower case. `self` is this. Throws std::bad_alloc.
  virtual std::unique_ptr<TlsSession> accept(std::shared_ptr<const TlsState> self, std::string_view received,
                                             std::string server_name) const = 0;
  /// The side of a connection that was dialed. `host`: a DNS name or an IP address, to be asked for and to be verified.
  virtual std::unique_ptr<TlsSession> connect(std::shared_ptr<const TlsState> self, std::string host) const = 0;

  /// The SSL_CTX.
  virtual void* native() const noexcept = 0;
};

/// Goes from a TlsContext to what it refers to, and back.
class TlsAccess {
 public:
  static TlsContext handle(std::shared_ptr<const TlsState> state) noexcept { return TlsContext(std::move(state)); }
  static const std::shared_ptr<const TlsState>& state(const TlsContext& context) noexcept { return context.state_; }
};

}  // namespace evio::internal
