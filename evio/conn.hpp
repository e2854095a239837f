#pragma once

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

namespace evio {

namespace internal {
class Endpoint;
class EndpointAccess;
}  // namespace internal

/// A small handle to one connection. Copy it freely and keep it as long as you like, even in the connection's own
/// context: it keeps no descriptor open. A default-constructed Conn refers to no connection and behaves as if closed.
///
/// Thread-safety: wake(), send(), close(), id(), loop_index() and the addresses may be used from any thread at any
/// time, even after serve() has returned. The context belongs to the loop: use it only in this connection's callbacks.
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

  /// The index, in serve()'s address list, of the address that accepted this connection.
  int addr_index() const noexcept;
  /// The address of this end: the connection's own, not the listener's. For a datagram, the address it was sent to.
  Addr local_addr() const;
  /// The address of the other end.
  Addr remote_addr() const;
  /// A number that no other connection of this server has; 0 if this refers to no connection.
  std::uint64_t id() const noexcept;
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
  bool wake() const;  // NOLINT(modernize-use-nodiscard): may be ignored

  /// Queues a copy of x for sending; the queue is unbounded. `data` is not called for it.
  ///
  /// Sends to one connection are ordered across threads: if one call returns before another begins, its bytes go first.
  /// They also go before the output of any callback that is called later. If this is called from a callback on the
  /// connection's own loop, x goes before that callback's `out`.
  ///
  /// Returns false, and sends nothing, if the connection is closing or closed, or if there is no memory for x.
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

  /// Closes the connection once all its output has been sent, as Action::Close does. A peer that does not read can
  /// delay that. `data` is not called any more. Returns false if the connection is already closing or closed.
  /// May be called from any thread; runs no callback inline, so the caller may hold locks.
  bool close() const;

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
