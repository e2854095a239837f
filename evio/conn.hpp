#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "evio/addr.hpp"
#include "evio/bytes.hpp"
#include "evio/detail/context.hpp"
#include "evio/detail/share_policy.hpp"
#include "evio/detail/task.hpp"
#include "evio/timer.hpp"

namespace evio {

namespace internal {
class Endpoint;
class EndpointAccess;
}  // namespace internal

class Server;
struct TlsInfo;

/// A small handle to one connection. Copy it freely and keep it as long as you like, even in the connection's own
/// context: it keeps no descriptor open. A default-constructed Conn refers to no connection and behaves as if closed.
///
/// Thread-safety: all methods may be used from any thread at any time, even after serve() has returned, except that the
/// context, native_handle() and tls() belong to the loop: use them only in this connection's callbacks. None of them
/// runs a callback inline, so the caller may hold locks. What one thread asks of a connection happens in the order in
/// which it asks. Methods that return bool return false, and do nothing, if the connection has closed, or if this is a
/// datagram's Conn and does not say otherwise.
class Conn {
 public:
  /// Refers to no connection.
  Conn() noexcept = default;
  /// Refers to the same connection as `other`.
  Conn(const Conn& other) noexcept;
  /// Takes over the reference of `other`, which then refers to no connection.
  Conn(Conn&& other) noexcept : endpoint_(std::exchange(other.endpoint_, nullptr)) {}
  /// Copies or moves, depending on the argument.
  Conn& operator=(Conn other) noexcept;
  /// Does not close the connection.
  ~Conn();

  /// The index, in Server::addrs(), of the listener that accepted this connection or received this datagram; -1 if the
  /// connection was dialed or adopted.
  int addr_index() const noexcept;
  /// The address of this end: the connection's own, not the listener's. For a datagram, the address it was sent to.
  Addr local_addr() const;
  /// The address of the other end.
  Addr remote_addr() const;
  /// A number that no other connection of this server has; 0 if this refers to no connection.
  std::uint64_t id() const noexcept;
  /// True if this program has made the connection, by Server::dial().
  bool dialed() const noexcept;
  /// The loop, 0 to num_loops - 1, that runs all callbacks of this connection.
  int loop_index() const noexcept;

  /// Stores a value with the connection and destroys the previous one immediately, so never call it from a method of
  /// the stored object. The last value is destroyed on the loop's thread right after `closed` or `detached` has
  /// returned. A closed connection and a datagram's Conn store nothing.
  template <class T>
  void set_context(T value) const;
  /// The stored value; nullptr if there is none, or if its type is not exactly T.
  template <class T>
  T* context() const noexcept;

  /// Schedules a call of `data` with empty `in`. Several wakes may be merged into one call. The call does not wait for
  /// output that a slow peer has not read yet. Returns false if the connection is closing or closed.
  /// May be called from any thread; runs no callback inline, so the caller may hold locks.
  bool wake() const;

  /// Queues a copy of x for sending. Only Options::max_pending limits the queue. `data` is not called for it.
  ///
  /// Sends to one connection are ordered across threads: if one call returns before another begins, its bytes go first.
  /// They also go before the output of any callback that is called later. If this is called from a callback on the
  /// connection's own loop, x goes before that callback's `out`.
  ///
  /// Returns false, and sends nothing, if the connection is closing or closed, after close_write(), if pending() would
  /// exceed Options::max_pending, or if there is no memory for x.
  /// May be called from any thread; runs no callback inline, so the caller may hold locks.
  ///
  /// On a datagram's Conn it sends x to that peer at once, as one datagram. Returns false if that fails, or once the
  /// server has begun shutting down.
  bool send(std::string_view x) const { return send_copy(x); }
  /// @overload
  bool send(const char* x) const { return send_copy(internal::view_of(x)); }
  /// @overload
  bool send(const std::string& x) const { return send_copy(x); }
  /// The same as send(std::string_view), but a large string is taken over, not copied.
  bool send(std::string&& x) const;
  /// The same as send(std::string_view), but large Bytes are shared, not copied.
  bool send(const Bytes& x) const;
  /// The same as send(std::string_view), but large Bytes are taken over, not copied.
  bool send(Bytes&& x) const { return send_bytes(std::move(x)); }

  /// Closes the connection once all its output has been sent, as Action::Close does. A slow peer delays that; one that
  /// takes nothing for Events::close_timeout, or Options::write_timeout if that is shorter, is reset, and `closed` gets
  /// std::errc::timed_out. `data` is not called any more. On a connection that is still being dialed, it cancels the
  /// attempt and drops what was sent and posted: `unreachable` gets std::errc::operation_canceled.
  /// Returns false if the connection is already closing or closed.
  /// May be called from any thread; runs no callback inline, so the caller may hold locks.
  bool close() const;

  /// Ends the connection at once: drops pending output and resets it (SO_LINGER, socket(7)); a unix socket, which has
  /// no reset, is closed. `closed` gets std::errc::operation_canceled, or `unreachable` if it is still being dialed.
  /// Also works on a connection that is closing, until `closed` is called.
  bool abort() const;

  /// From now on no input is read, the peer's end of stream included, until resume(). A `data` call under way, or the
  /// read under way if another thread calls this, may still come. Everything else goes on; a connection that fails is
  /// closed after what had arrived was delivered. It is a flag, not a count: the last call of pause() and resume()
  /// wins. Returns false if the connection is closing or closed.
  bool pause() const;
  /// Reads input again. Returns false if the connection is closing or closed.
  bool resume() const;

  /// Ends this side of the stream (shutdown(2), SHUT_WR) once all output so far has been sent; that includes the `out`
  /// of the callback under way. Input goes on. From now on send() returns false, and the `out` of later callbacks is
  /// dropped. Once the peer has ended its side too, the connection closes without an error.
  /// Returns false if this side has ended already, or the connection is closing or closed.
  bool close_write() const;

  /// Calls f on the connection's loop, as `data` would be called: f is an `Action(Conn&, Output&)`, which may be
  /// move-only. Data that the caller sent earlier precedes the output of f, and data that it sends later follows it. If
  /// a callback of this connection calls post(), all that this callback sends, and its `out`, precede the output of f.
  /// f runs even if close() or Server::shutdown() is called afterwards. If the connection ends first for any other
  /// reason, f is destroyed on its loop without having run. Returns false, and destroys f, if the connection is closing
  /// or closed, or if there is no memory.
  template <class F>
  bool post(F f) const;
  /// Calls f as post() does, once `delay` has passed: never early. Functions that are due are called in the order of
  /// their times, then of these calls. f is destroyed without having run if the connection closes before that.
  /// Returns a Timer of nothing, and destroys f, if the connection is closing or closed, or if there is no memory.
  template <class F>
  Timer post_after(std::chrono::nanoseconds delay, F f) const;
  /// Sets the connection's one deadline, in place of an earlier one: once `delay` has passed, `timeout` is called with
  /// Timeout::Deadline. 0 or less means no deadline. Returns false if the connection is closing or closed, or if there
  /// is no memory.
  bool expires_after(std::chrono::nanoseconds delay) const;

  /// How many bytes were accepted by send(), or returned as `out`, and have not been taken by the kernel.
  std::size_t pending() const noexcept;
  /// The server this belongs to, a datagram's too; of nothing if serve() has returned and no other handle is left.
  Server server() const;
  /// The connection's descriptor, for getsockopt(2) and setsockopt(2), in its own callbacks from `opened` to `closed`;
  /// -1 elsewhere.
  int native_handle() const noexcept;
  /// What TLS has agreed on, in the connection's own callbacks from `opened` to `closed`; nullptr elsewhere, and for a
  /// connection without TLS. Lives until `closed` returns.
  const TlsInfo* tls() const noexcept;

  /// The same connection.
  friend bool operator==(const Conn& a, const Conn& b) noexcept { return a.endpoint_ == b.endpoint_; }
  /// Ordered by id within one server, for sorted containers.
  friend std::strong_ordering operator<=>(const Conn& a, const Conn& b) noexcept;

 private:
  friend class internal::EndpointAccess;
  friend struct std::hash<Conn>;

  static void retain(internal::Endpoint* endpoint) noexcept;
  static void release(internal::Endpoint* endpoint) noexcept;
  void store_context(std::unique_ptr<internal::Context> context) const;
  void* find_context(const internal::TypeId& type) const noexcept;
  bool send_copy(std::string_view x) const;
  bool send_bytes(Bytes x) const;
  bool send_string(std::string&& x) const;
  bool post_task(std::unique_ptr<internal::ConnTask> task) const;
  Timer post_task_after(std::chrono::nanoseconds delay, internal::TimedPtr<internal::ConnTask> task) const;

  internal::Endpoint* endpoint_ = nullptr;
};

inline Conn::Conn(const Conn& other) noexcept : endpoint_(other.endpoint_) {
  if (endpoint_ != nullptr) retain(endpoint_);
}

inline Conn& Conn::operator=(Conn other) noexcept {
  std::swap(endpoint_, other.endpoint_);
  return *this;
}

inline Conn::~Conn() {
  if (endpoint_ != nullptr) release(endpoint_);
}

template <class T>
void Conn::set_context(T value) const {
  store_context(std::make_unique<internal::ContextOf<std::remove_cv_t<T>>>(std::move(value)));
}

template <class T>
T* Conn::context() const noexcept {
  return static_cast<T*>(find_context(internal::type_id<std::remove_cv_t<T>>()));
}

template <class F>
bool Conn::post(F f) const {
  return post_task(internal::make_task<internal::ConnTaskOf<F>, internal::ConnTask>(std::move(f)));
}

template <class F>
Timer Conn::post_after(std::chrono::nanoseconds delay, F f) const {
  return post_task_after(delay, internal::make_timed<internal::ConnTaskOf, internal::ConnTask>(std::move(f)));
}

inline bool Conn::send(const Bytes& x) const {
  return x.size() < internal::kShareInRequest ? send_copy(x.view()) : send_bytes(Bytes(x));
}

inline bool Conn::send(std::string&& x) const {
  return x.size() < internal::kShareInRequest ? send_copy(x) : send_string(std::move(x));
}

}  // namespace evio

// For unordered containers. Handles to the same connection have equal hashes.
template <>
struct std::hash<evio::Conn> {
  std::size_t operator()(const evio::Conn& conn) const noexcept {
    return std::hash<const void*>()(static_cast<const void*>(conn.endpoint_));
  }
};
